package import SpecDocument
package import YAML

/// What another package asks the generator for, as its `tes-generate.json` says it: a document, and what to make of it.
package struct GeneratorConfiguration: Sendable {
    /// What can be left out of the generated code.
    package enum Part: String, Sendable, CaseIterable {
        /// Structures, enumerations, `Codable` and direct JSON coding.
        case types
        /// The rules that requests are held to.
        case validation
        /// A client over a transport, with the operations' inputs.
        case client
    }

    /// Text of the configuration, and where it stands.
    private struct Located {
        var text: String
        var location: SourceLocation
    }

    private static let keys = ["document", "references", "overlay", "access", "parts", "clientName"]

    /// Who may use the generated code.
    package private(set) var access = AccessLevel.package
    package private(set) var parts: Set<Part> = []
    private static let usualClientName = "TESClient"

    /// The client's type.
    var clientName: String { client?.text ?? Self.usualClientName }
    private var client: Located?
    private var document = Located(text: "", location: SourceLocation(file: "", line: 1, column: 1))
    private var overlay: Located?
    private var references: [(url: String, file: Located)] = []
    private var found: [Diagnostic] = []

    /// Throws everything that is wrong with the configuration itself; which files there are is seen by ``input(read:)``.
    package init(_ node: YAMLNode) throws(Diagnostics) {
        guard let entries = node.entries else {
            throw Diagnostics([
                Diagnostic(
                    node.location, "a configuration is a mapping, not \(node.kindName)",
                    hint: "the keys are \(Self.keys.joined(separator: ", "))")
            ])
        }
        for entry in entries where !Self.keys.contains(entry.key.text ?? "") {
            found.append(
                Diagnostic(
                    entry.key.location, "\"\(entry.key.text ?? "")\" is not a key of a configuration",
                    hint: "the keys are \(Self.keys.joined(separator: ", "))"))
        }
        if let file = required(node, "document", hint: "name the OpenAPI description") { document = file }
        readReferences(node["references"])
        overlay = node["overlay"].flatMap { text($0, "overlay") }
        readAccess(node)
        readParts(node)
        readClientName(node["clientName"])
        if !found.isEmpty { throw Diagnostics(found) }
    }

    /// The documents that the configuration names.
    ///
    /// - Parameter read: the content of the file at a path that is relative to the configuration's folder; nil where there is none.
    package func input(read: (String) throws(Diagnostics) -> YAMLNode?) throws(Diagnostics) -> GeneratorPipeline.Input {
        var found: [Diagnostic] = []
        func node(_ file: Located) -> YAMLNode? {
            do throws(Diagnostics) {
                if let node = try read(file.text) { return node }
                found.append(
                    Diagnostic(
                        file.location, "the file \"\(file.text)\" cannot be read",
                        hint: "paths are relative to the folder of the configuration"))
            } catch {
                found += error.all
            }
            return nil
        }
        var files: [String: YAMLNode] = [:]
        for file in [document] + references.map(\.file) where files[file.text] == nil { files[file.text] = node(file) }
        let changes = overlay.flatMap { node($0) }
        if !found.isEmpty { throw Diagnostics(found) }
        return GeneratorPipeline.Input(
            document: document.text, files: files,
            references: Dictionary(references.map { ($0.url, $0.file.text) }) { first, _ in first }, overlay: changes)
    }

    // MARK: Keys

    private mutating func text(_ node: YAMLNode, _ key: String) -> Located? {
        guard let text = node.text, node.kindName == "text", !text.isEmpty else {
            let kind = node.text == "" && !node.isNull ? "empty" : node.kindName
            found.append(
                Diagnostic(
                    node.location, "\"\(key)\" must be text, not \(kind)", hint: "write it in quotation marks"))
            return nil
        }
        return Located(text: text, location: node.location)
    }

    private mutating func required(_ node: YAMLNode, _ key: String, hint: String) -> Located? {
        if let value = node[key] { return text(value, key) }
        found.append(Diagnostic(node.location, "\"\(key)\" is missing", hint: hint))
        return nil
    }

    private mutating func readReferences(_ node: YAMLNode?) {
        guard let node else { return }
        guard let entries = node.entries else {
            found.append(
                Diagnostic(
                    node.location, "\"references\" must be a mapping, not \(node.kindName)",
                    hint: "write the URL that the document refers to, and the file that stands for it"))
            return
        }
        for entry in entries {
            if let file = text(entry.value, entry.key.text ?? "") { references.append((entry.key.text ?? "", file)) }
        }
    }

    private mutating func readAccess(_ node: YAMLNode) {
        let choices = AccessLevel.allCases.map(\.rawValue).joined(separator: " or ")
        guard let given = required(node, "access", hint: "write \(choices)") else { return }
        guard let level = AccessLevel(rawValue: given.text) else {
            found.append(
                Diagnostic(
                    given.location, "the access level \"\(given.text)\" is not supported", hint: "write \(choices)"))
            return
        }
        access = level
    }

    private mutating func readParts(_ node: YAMLNode) {
        let choices = Part.allCases.map(\.rawValue).joined(separator: ", ")
        guard let list = node["parts"] else {
            found.append(Diagnostic(node.location, "\"parts\" is missing", hint: "choose from \(choices)"))
            return
        }
        guard let items = list.items, !items.isEmpty else {
            found.append(
                Diagnostic(list.location, "\"parts\" must be a sequence of names", hint: "choose from \(choices)"))
            return
        }
        var places: [(part: Part, location: SourceLocation)] = []
        for item in items {
            guard let given = text(item, "parts") else { continue }
            guard let part = Part(rawValue: given.text) else {
                found.append(
                    Diagnostic(
                        given.location, "there is no part \"\(given.text)\"", hint: "choose from \(choices)"))
                continue
            }
            if !parts.insert(part).inserted {
                found.append(
                    Diagnostic(
                        given.location, "the part \"\(given.text)\" appears twice", hint: "remove one of them"))
            }
            places.append((part, given.location))
        }
        for place in places where place.part != .types && !parts.contains(.types) {
            found.append(
                Diagnostic(
                    place.location, "the part \"\(place.part.rawValue)\" needs the part \"types\"",
                    hint: "add \"types\" to the parts"))
        }
    }

    private mutating func readClientName(_ node: YAMLNode?) {
        guard let node, let given = text(node, "clientName") else { return }
        if given.text.wholeMatch(of: /[A-Z][A-Za-z0-9]*/) == nil {
            found.append(
                Diagnostic(
                    given.location, "\"\(given.text)\" is no name of a type",
                    hint: "write a capital letter and then letters and digits"))
        } else if given.text != Self.usualClientName, ReservedNames.types.contains(given.text) {
            found.append(
                Diagnostic(
                    given.location, "the client's name \(given.text) has another meaning in generated code",
                    hint: "write one that Swift and the runtime do not use, such as ServiceClient"))
        }
        if !parts.contains(.client) {
            found.append(
                Diagnostic(
                    given.location, "\"clientName\" names a client that is not among the parts",
                    hint: "add \"client\" to the parts, or remove the name"))
        }
        client = given
    }

    /// Throws where the specification has a type with the client's name.
    func check(_ contract: Contract) throws(Diagnostics) {
        let types =
            contract.structures.map(\.name) + contract.enumerations.map(\.name) + contract.operations.map(\.typeName)
        guard parts.contains(.client), types.contains(clientName) else { return }
        throw Diagnostics([
            Diagnostic(
                (client ?? document).location, "the client's name \(clientName) is a type of the specification, too",
                hint: "give the client another one with \"clientName\"")
        ])
    }
}
