import Foundation
import YAML

/// What a failure counts for.
enum CaseLevel: String, Sendable { case must, should }

/// One sentence of the specification: where it stands, and what it says.
struct Sentence: Sendable {
    var place: String
    var says: String
}

/// One case: requests that are sent one after another, with variables of their own.
package struct ConformanceCase: Sendable {
    /// `file`, or `file/name`.
    package var id: String
    /// The file's name without `.yml`.
    package var file: String
    package var description: String
    package var tags: [String]
    var fileDescription: String
    var name: String?
    var requires: [String]
    var variables: [(name: String, value: JSONNode)]
    var level: CaseLevel
    var sentences: [Sentence]
    var jobs: [CaseJob]
}

/// One request with all that its answer is judged by; placeholders are not filled in yet.
struct CaseJob: Sendable {
    struct Polling: Sendable {
        var interval: JSONNode
        var timeout: JSONNode
        var until: JSONNode?
    }

    var name: String
    var description: String
    var endpoint: String
    var operation: String
    var pathParameters: [JSONNode.Member]
    var query: JSONNode
    var requestBody: JSONNode?
    var rawBody: JSONNode?
    var headers: [JSONNode.Member]
    /// A status or `4xx`, and whether the case ends there.
    var statuses: [(pattern: String, stops: Bool)]
    var storage: [(name: String, path: String)]
    var filters: [JSONNode]
    var polling: Polling?
    var checksCancel: Bool
    var expectations: [JSONNode]
    var conditions: [JSONNode]
    var checksSchema: Bool
    var level: CaseLevel?
    var sentences: [Sentence]
    /// `file:line:col`
    var place: String
}

/// Reads case files as conformance/SYNTAX.md describes them.
package struct CaseLoader: Sendable {
    package init() {}

    /// The cases of every `*.yml` directly in a folder, by name.
    package func load(folder: String) throws -> [ConformanceCase] {
        guard let content = try? FileManager.default.contentsOfDirectory(atPath: folder) else {
            throw CaseFileError(description: "there is no folder \(folder) with case files")
        }
        let names = content.filter { $0.hasSuffix(".yml") }.sorted()
        guard !names.isEmpty else { throw CaseFileError(description: "the folder \(folder) has no case files (*.yml)") }
        return try names.flatMap { try load(file: folder + "/" + $0) }
    }

    func load(file path: String) throws -> [ConformanceCase] {
        let root = try parse(path)
        let file = URL(filePath: path).deletingPathExtension().lastPathComponent
        try check(
            root,
            ["description", "service", "versions", "tags", "jobs", "cases", "requires", "vars", "level", "spec"])
        if let service = root["service"], service.text != "TES" {
            throw YAMLError(location: service.location, message: "only service: TES is understood")
        }
        let folder = URL(filePath: path).standardizedFileURL.deletingLastPathComponent()
        guard let cases = root["cases"] else {
            return [try makeCase(root, root: nil, id: file, file: file, folder: folder)]
        }
        if let jobs = root["jobs"] {
            throw YAMLError(location: jobs.location, message: "a file has jobs or cases, not both")
        }
        guard let items = cases.items, !items.isEmpty else {
            throw YAMLError(location: cases.location, message: "cases is a list of at least one case")
        }
        var seen: Set<String> = []
        return try items.map { node in
            try check(node, ["name", "description", "tags", "jobs", "requires", "vars", "level", "spec"])
            guard let name = node["name"]?.text else {
                throw YAMLError(location: node.location, message: "a case needs a name")
            }
            guard seen.insert(name).inserted else {
                throw YAMLError(location: node.location, message: "there are two cases named \(name)")
            }
            var made = try makeCase(node, root: root, id: "\(file)/\(name)", file: file, folder: folder)
            made.name = name
            return made
        }
    }

    private func makeCase(
        _ node: YAMLNode, root: YAMLNode?, id: String, file: String, folder: URL
    ) throws -> ConformanceCase {
        guard let jobs = node["jobs"] else {
            throw YAMLError(location: node.location, message: "a case needs jobs")
        }
        for place in [root, node].compactMap({ $0 }) {
            for key in ["tags", "requires", "versions"] { try requireList(place[key], key) }
            if let variables = place["vars"], variables.entries == nil {
                throw YAMLError(location: variables.location, message: "vars is a mapping")
            }
            for variable in place["vars"]?.entries ?? [] {
                try checkNumber(variable.value["times"], "times", upTo: 100_000_000)
            }
        }
        func texts(_ key: String) -> [String] {
            ((root?[key]?.items ?? []) + (node[key]?.items ?? [])).compactMap(\.text)
        }
        let variables = (root?["vars"]?.entries ?? []) + (node["vars"]?.entries ?? [])
        return ConformanceCase(
            id: id, file: file, description: (node["description"] ?? root?["description"])?.text ?? "",
            tags: texts("tags"), fileDescription: (root ?? node)["description"]?.text ?? "", name: nil,
            requires: texts("requires"),
            variables: variables.map { ($0.key.text ?? "", JSONNode($0.value)) },
            level: try level(node) ?? (try root.flatMap { try level($0) }) ?? .must,
            sentences: node["spec"].map(Self.sentences) ?? root?["spec"].map(Self.sentences) ?? [],
            jobs: try expand(jobs, folder: folder, depth: 0).map(job))
    }

    private func level(_ node: YAMLNode) throws -> CaseLevel? {
        guard let level = node["level"] else { return nil }
        guard let known = CaseLevel(rawValue: level.text ?? "") else {
            throw YAMLError(location: level.location, message: "level is must or should")
        }
        return known
    }

    static func sentences(_ node: YAMLNode) -> [Sentence] { sentences(JSONNode(node)) }

    static func sentences(_ node: JSONNode) -> [Sentence] {
        (node.items ?? [node]).map { Sentence(place: $0["at"]?.text ?? "", says: $0["says"]?.text ?? "") }
    }

    private func parse(_ path: String) throws -> YAMLNode {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw CaseFileError(description: "cannot read \(path)")
        }
        return try parseYAML(String(decoding: data, as: UTF8.self), file: path)
    }

    /// A number, or a text that a template's user has replaced or a variable will replace.
    private func checkNumber(_ node: YAMLNode?, _ key: String, upTo limit: Double) throws {
        guard let node, let number = node.number ?? node.text.flatMap(Double.init) else { return }
        guard number >= 0, number <= limit else {
            throw YAMLError(location: node.location, message: "\(key) is a number from 0 to \(Int(limit))")
        }
    }

    private func requireList(_ node: YAMLNode?, _ key: String) throws {
        guard let node, node.items == nil else { return }
        throw YAMLError(location: node.location, message: "\(key) is a list, not \(node.kindName)")
    }

    /// A list, or a text that a template's user has replaced or a variable will replace.
    private func requireListOrPlaceholder(_ node: YAMLNode?, _ key: String) throws {
        if let text = node?.text, text.hasPrefix("{"), text.hasSuffix("}") { return }
        try requireList(node, key)
    }

    private func check(_ node: YAMLNode, _ known: Set<String>) throws {
        guard let entries = node.entries else {
            throw YAMLError(location: node.location, message: "expected a mapping, not \(node.kindName)")
        }
        for entry in entries where !known.contains(entry.key.text ?? "") {
            throw YAMLError(
                location: entry.key.location, message: "the key \"\(entry.key.text ?? "")\" is not understood here")
        }
    }

    // MARK: Templates

    /// Jobs with every template's in its place.
    private func expand(_ jobs: YAMLNode, folder: URL, depth: Int) throws -> [YAMLNode] {
        guard let items = jobs.items, depth < 20 else {
            throw YAMLError(location: jobs.location, message: "expected a list of jobs")
        }
        return try items.flatMap { entry -> [YAMLNode] in
            var group = [entry]
            if let reference = entry["$ref"] {
                let candidates = [folder, folder.deletingLastPathComponent()].map {
                    $0.appending(path: reference.text ?? "").standardizedFileURL.path(percentEncoded: false)
                }
                guard let path = candidates.first(where: FileManager.default.fileExists) else {
                    throw YAMLError(
                        location: reference.location, message: "there is no template \(reference.text ?? "")")
                }
                let template = try parse(path).replacing(entry["args"]?.entries ?? [])
                group = try expand(
                    template, folder: URL(filePath: path).deletingLastPathComponent(), depth: depth + 1)
                let own = (entry.entries ?? []).filter { !["$ref", "args", "repeat"].contains($0.key.text) }
                if let last = group.popLast() { group.append(last.overridden(by: own)) }
            }
            var count = 1
            if let node = entry["repeat"] {
                guard let given = node.integer, (0...100_000).contains(given) else {
                    throw YAMLError(location: node.location, message: "repeat is a whole number from 0 to 100000")
                }
                count = given
            }
            return (0..<count).flatMap { _ in group }
        }
    }

    private func check(polling: YAMLNode) throws {
        try check(polling, ["interval", "timeout", "until"])
        try checkNumber(polling["interval"], "interval", upTo: 86400)
        try checkNumber(polling["timeout"], "timeout", upTo: 86400)
    }

    private static let typeNames: Set = [
        "string", "number", "integer", "boolean", "array", "object", "null", "time", "uri",
    ]

    private func check(_ assertion: YAMLNode) throws {
        try check(assertion, Assertion.keys)
        guard assertion["pointer"] != nil || assertion["header"] != nil else {
            throw YAMLError(location: assertion.location, message: "an assertion needs a pointer or a header")
        }
        if let type = assertion["type"], !Self.typeNames.contains(type.text ?? "") {
            throw YAMLError(
                location: type.location,
                message: "\(type.text ?? "") is no type: \(Self.typeNames.sorted().joined(separator: ", "))")
        }
        if let pattern = assertion["matches"], (try? Regex(pattern.text ?? "(")) == nil {
            throw YAMLError(location: pattern.location, message: "\(pattern.text ?? "") is no regular expression")
        }
    }

    private static let jobKeys: Set = [
        "name", "description", "endpoint", "operation", "path_parameters", "query_parameters", "request_body",
        "response",
        "storage_vars", "filter", "polling", "env_vars", "raw_body", "headers", "expect", "skip_unless", "schema",
        "repeat", "level", "spec",
    ]

    private func job(_ node: YAMLNode) throws -> CaseJob {
        try check(node, Self.jobKeys)
        for key in ["name", "endpoint", "operation", "response"] where node[key] == nil {
            throw YAMLError(location: node.location, message: "a job needs \(key)")
        }
        for key in ["expect", "skip_unless", "filter"] { try requireList(node[key], key) }
        try requireListOrPlaceholder(node["query_parameters"], "query_parameters")
        try requireListOrPlaceholder(node["polling"]?["until"], "until")
        for assertion in (node["expect"]?.items ?? []) + (node["skip_unless"]?.items ?? []) { try check(assertion) }
        guard let responses = node["response"]?.entries else {
            throw YAMLError(location: node.location, message: "response is a mapping from statuses")
        }
        for entry in responses where (entry.key.text ?? "").wholeMatch(of: /[1-5](\d\d|xx)/) == nil {
            throw YAMLError(
                location: entry.key.location, message: "\(entry.key.text ?? "") is no status such as 200 or 4xx")
        }
        for entry in node["storage_vars"]?.entries ?? [] {
            let path = entry.value.text ?? ""
            guard path.hasPrefix("$response") || path.hasPrefix("/") || path.isEmpty else {
                throw YAMLError(
                    location: entry.value.location, message: "write $response.id or /id for where a value is kept from")
            }
        }
        for filter in node["filter"]?.items ?? [] { try check(filter, ["path", "type", "size", "value", "regex"]) }
        if let polling = node["polling"] { try check(polling: polling) }
        if let variables = node["env_vars"] { try check(variables, ["check_cancel"]) }
        return CaseJob(
            name: node["name"]?.text ?? "", description: node["description"]?.text ?? "",
            endpoint: node["endpoint"]?.text ?? "", operation: node["operation"]?.text ?? "",
            pathParameters: node["path_parameters"].map { JSONNode($0) }?.members ?? [],
            query: node["query_parameters"].map { JSONNode($0) } ?? .array([]),
            requestBody: node["request_body"].map { JSONNode($0) }, rawBody: node["raw_body"].map { JSONNode($0) },
            headers: node["headers"].map { JSONNode($0) }?.members ?? [],
            statuses: (node["response"]?.entries ?? []).map { ($0.key.text ?? "", $0.value.text == "stop") },
            storage: (node["storage_vars"]?.entries ?? []).map { ($0.key.text ?? "", $0.value.text ?? "") },
            filters: (node["filter"]?.items ?? []).map { JSONNode($0) },
            polling: node["polling"].map {
                .init(
                    interval: $0["interval"].map { JSONNode($0) } ?? .number(0.5),
                    timeout: $0["timeout"].map { JSONNode($0) } ?? .integer(300),
                    until: $0["until"].map { JSONNode($0) })
            },
            checksCancel: node["env_vars"]?["check_cancel"]?.bool ?? false,
            expectations: (node["expect"]?.items ?? []).map { JSONNode($0) },
            conditions: (node["skip_unless"]?.items ?? []).map { JSONNode($0) },
            checksSchema: node["schema"]?.bool ?? true, level: try level(node),
            sentences: node["spec"].map(Self.sentences) ?? [], place: "\(node.location)")
    }
}

/// A case file that cannot be used.
package struct CaseFileError: Error, CustomStringConvertible {
    package var description: String
}

extension YAMLNode {
    /// A template's node with its arguments in it; a text that is nothing but `{NAME}` becomes the argument itself.
    fileprivate func replacing(_ arguments: [Entry]) -> YAMLNode {
        switch content {
        case .sequence(let items):
            return YAMLNode(.sequence(items.map { $0.replacing(arguments) }), location: location)
        case .mapping(let entries):
            let replaced = entries.map { entry in
                Entry(key: entry.key.replacing(arguments), value: entry.value.replacing(arguments))
            }
            return YAMLNode(.mapping(replaced), location: location)
        case .scalar(let text, let isPlain):
            var result = ""
            var rest = text[...]
            // In one go: what an argument brings is not looked at again.
            while let open = rest.firstIndex(of: "{") {
                result += rest[..<open]
                rest = rest[open...]
                let argument = arguments.first { rest.hasPrefix("{\($0.key.text ?? "")}") }
                if let argument {
                    let placeholder = "{\(argument.key.text ?? "")}"
                    if text == placeholder { return argument.value }
                    result += argument.value.text ?? JSONNode(argument.value).json
                    rest = rest.dropFirst(placeholder.count)
                } else {
                    result += "{"
                    rest = rest.dropFirst()
                }
            }
            result += rest
            return YAMLNode(.scalar(result, isPlain: isPlain && result == text), location: location)
        }
    }

    /// Keys take the place of the node's own; `expect` is added to it.
    fileprivate func overridden(by own: [Entry]) -> YAMLNode {
        var result = entries ?? []
        for entry in own {
            guard let index = result.firstIndex(where: { $0.key.text == entry.key.text }) else {
                result.append(entry)
                continue
            }
            if entry.key.text == "expect", let items = result[index].value.items, let more = entry.value.items {
                result[index].value = YAMLNode(.sequence(items + more), location: entry.value.location)
            } else {
                result[index].value = entry.value
            }
        }
        return YAMLNode(.mapping(result), location: location)
    }
}
