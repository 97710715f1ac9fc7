package import YAML

/// Turns located nodes into a ``SpecDocument``: operations in order, then every schema that can be reached.
package struct DocumentLoader: Sendable {
    /// Documents by file name; the first is the one to load, others are reached by reference.
    private let documents: [String: YAMLNode]
    private let files: [String: String]

    /// - Parameters:
    ///   - documents: parsed files by name, with their overlays applied.
    ///   - references: which file stands for which absolute URL in a `$ref`.
    package init(documents: [String: YAMLNode], references: [String: String] = [:]) {
        self.documents = documents
        self.files = references
    }

    package func load(_ file: String) throws(Diagnostics) -> SpecDocument {
        guard let root = documents[file] else { throw Diagnostics([]) }
        var loader = SchemaLoader(files: files)
        checkRoot(root, &loader)
        var schemas: [(id: SchemaID, schema: Schema)] = []
        for entry in root["components"]?["schemas"]?.entries ?? [] {
            let id = SchemaID(file: file, name: entry.key.text ?? "")
            let pointer = "/components/schemas/" + escape(id.name)
            schemas.append((id, loader.schema(entry.value, file: file, pointer: pointer)))
        }
        let operations = operations(root, file: file, &loader)
        follow(&loader, into: &schemas)
        findCycles(schemas, &loader)
        guard loader.found.isEmpty else { throw Diagnostics(loader.found) }
        return SpecDocument(
            file: file, title: root["info"]?["title"]?.text ?? "", version: root["info"]?["version"]?.text ?? "",
            basePath: root["servers"]?.items?.first?["url"]?.text ?? "", operations: operations, schemas: schemas)
    }

    private func checkRoot(_ root: YAMLNode, _ loader: inout SchemaLoader) {
        guard let version = root["openapi"] else {
            loader.found.append(
                Diagnostic(
                    root.location, "an OpenAPI document starts with \"openapi: 3.0.x\"",
                    hint: "is this another kind of file, or Swagger 2.0?"))
            return
        }
        if version.text?.hasPrefix("3.0.") != true {
            loader.found.append(
                Diagnostic(
                    version.location, "OpenAPI \(version.text ?? "") is not supported; 3.0.x is",
                    hint: "convert the document; its schemas may mean something else in another version"))
        }
        let known: Set = ["openapi", "info", "servers", "paths", "components", "security", "tags", "externalDocs"]
        for entry in root.entries ?? [] where !known.contains(entry.key.text ?? "") {
            if entry.key.text?.hasPrefix("x-") == true { continue }
            loader.found.append(
                Diagnostic(
                    entry.key.location, "\"\(entry.key.text ?? "")\" is not a key of an OpenAPI document",
                    hint: "known are \(known.sorted().joined(separator: ", "))"))
        }
    }

    /// Loads schemas of other documents until no reference is left to follow.
    private func follow(_ loader: inout SchemaLoader, into schemas: inout [(id: SchemaID, schema: Schema)]) {
        var next = 0
        while next < loader.references.count {
            let (id, location) = loader.references[next]
            next += 1
            if schemas.contains(where: { $0.id == id }) { continue }
            guard let node = documents[id.file]?["components"]?["schemas"]?[id.name] else {
                loader.found.append(
                    Diagnostic(
                        location, "the reference leads nowhere: \(id.file) has no schema \"\(id.name)\"",
                        hint: "schemas are looked for under components/schemas, letter for letter"))
                continue
            }
            let pointer = "/components/schemas/" + escape(id.name)
            schemas.append((id, loader.schema(node, file: id.file, pointer: pointer)))
        }
    }

    /// A schema that contains itself other than through an array or a map has no finite value.
    private func findCycles(_ schemas: [(id: SchemaID, schema: Schema)], _ loader: inout SchemaLoader) {
        func direct(_ schema: Schema) -> [(SchemaID, SourceLocation)] {
            switch schema.kind {
            case .reference(let id): [(id, schema.location)]
            case .allOf(let parts): parts.flatMap(direct)
            case .object(let properties, _): properties.flatMap { direct($0.schema) }
            default: []
            }
        }
        let edges = Dictionary(schemas.map { ($0.id, direct($0.schema)) }, uniquingKeysWith: { first, _ in first })
        for (id, _) in schemas {
            var seen: Set<SchemaID> = []
            var queue = edges[id] ?? []
            while let (target, location) = queue.popLast() {
                if target == id {
                    loader.found.append(
                        Diagnostic(
                            location, "the schema \"\(id.name)\" contains itself",
                            hint: "it has no finite value; only an array may lead back to its schema"))
                    break
                }
                if seen.insert(target).inserted { queue += edges[target] ?? [] }
            }
        }
    }

    private func operations(_ root: YAMLNode, file: String, _ loader: inout SchemaLoader) -> [Operation] {
        var operations: [Operation] = []
        for path in root["paths"]?.entries ?? [] {
            for method in path.value.entries ?? [] {
                let name = method.key.text ?? ""
                guard ["get", "post", "put", "delete", "patch"].contains(name) else {
                    loader.found.append(
                        Diagnostic(
                            method.key.location, "\"\(name)\" is not supported below a path",
                            hint: "supported are get, post, put, delete and patch; remove it with the overlay"))
                    continue
                }
                let pointer = "/paths/" + escape(path.key.text ?? "") + "/" + name
                if let operation = operation(
                    method.value, method: name, path: path.key.text ?? "", pointer: pointer, root: root, file: file,
                    &loader)
                {
                    if operations.contains(where: { $0.id == operation.id }) {
                        loader.found.append(
                            Diagnostic(
                                operation.location, "the operationId \"\(operation.id)\" is used twice",
                                hint: "give one of them another operationId with the overlay"))
                    }
                    operations.append(operation)
                }
            }
        }
        return operations
    }

    private func operation(
        _ node: YAMLNode, method: String, path: String, pointer: String, root: YAMLNode, file: String,
        _ loader: inout SchemaLoader
    ) -> Operation? {
        let known: Set = [
            "tags", "summary", "description", "operationId", "parameters", "requestBody", "responses", "security",
            "deprecated",
        ]
        for entry in node.entries ?? [] where !known.contains(entry.key.text ?? "") {
            if entry.key.text?.hasPrefix("x-") == true { continue }
            loader.found.append(
                Diagnostic(
                    entry.key.location, "\"\(entry.key.text ?? "")\" is not supported in an operation",
                    hint: "remove it with the overlay, or teach the generator what it means"))
        }
        guard let id = node["operationId"]?.text else {
            loader.found.append(
                Diagnostic(
                    node.location, "an operation needs an operationId",
                    hint: "add it with the overlay; functions and types are named after it"))
            return nil
        }
        var parameters: [Parameter] = []
        for (index, item) in (node["parameters"]?.items ?? []).enumerated() {
            if let parameter = parameter(
                item, root: root, file: file, pointer: "\(pointer)/parameters/\(index)", &loader)
            {
                parameters.append(parameter)
            }
        }
        checkPath(path, parameters, at: node.location, &loader)
        for (index, parameter) in parameters.enumerated()
        where parameters[..<index].contains(where: { $0.name == parameter.name && $0.place == parameter.place }) {
            loader.found.append(
                Diagnostic(
                    parameter.location, "the parameter \"\(parameter.name)\" appears twice in one operation",
                    hint: "remove one of them with the overlay"))
        }
        var json: YAMLNode?
        if let body = node["requestBody"] {
            checkKeys(body, ["description", "content", "required"], "a request body", &loader)
            json = content(body, "a request body", at: body.location, &loader)
        }
        guard let (status, response) = response(node, pointer: pointer, file: file, &loader) else { return nil }
        return Operation(
            id: id, method: method.uppercased(), path: path, parameters: parameters,
            requestBody: json.map {
                loader.schema($0, file: file, pointer: pointer + "/requestBody/content/application~1json/schema")
            },
            requestBodyIsRequired: node["requestBody"]?["required"]?.bool ?? false,
            response: response, responseStatus: status,
            description: node["description"]?.text ?? node["summary"]?.text, location: node.location, pointer: pointer)
    }

    private func response(
        _ node: YAMLNode, pointer: String, file: String, _ loader: inout SchemaLoader
    ) -> (Int, Schema)? {
        var found: (Int, Schema)?
        for entry in node["responses"]?.entries ?? [] {
            guard let status = entry.key.text.flatMap({ Int($0) }), (200..<300).contains(status) else { continue }
            guard found == nil else {
                loader.found.append(
                    Diagnostic(
                        entry.key.location, "a second response of status 2xx is not supported",
                        hint: "an operation has one kind of answer: remove the others with the overlay"))
                continue
            }
            checkKeys(entry.value, ["description", "content", "headers", "links"], "a response", &loader)
            guard let schema = content(entry.value, "a response", at: entry.key.location, &loader) else { return nil }
            let place = "\(pointer)/responses/\(status)/content/application~1json/schema"
            found = (status, loader.schema(schema, file: file, pointer: place))
        }
        if found == nil {
            loader.found.append(
                Diagnostic(
                    node.location, "an operation needs a response of status 2xx",
                    hint: "add '200' with a schema for application/json with the overlay"))
        }
        return found
    }

    /// The schema of the one media type that is spoken here.
    private func content(
        _ node: YAMLNode, _ what: String, at location: SourceLocation, _ loader: inout SchemaLoader
    ) -> YAMLNode? {
        for entry in node["content"]?.entries ?? [] where entry.key.text != "application/json" {
            loader.found.append(
                Diagnostic(
                    entry.key.location, "the media type \"\(entry.key.text ?? "")\" is not supported",
                    hint: "only application/json is; remove the other with the overlay"))
        }
        guard let schema = node["content"]?["application/json"]?["schema"] else {
            loader.found.append(
                Diagnostic(
                    location, "\(what) needs a schema for application/json",
                    hint: "write it in place; a $ref to components is not followed here"))
            return nil
        }
        return schema
    }

    private func checkKeys(_ node: YAMLNode, _ known: Set<String>, _ what: String, _ loader: inout SchemaLoader) {
        for entry in node.entries ?? [] {
            let key = entry.key.text ?? ""
            guard !known.contains(key), !key.hasPrefix("x-"), key != "$ref" else { continue }
            loader.found.append(
                Diagnostic(
                    entry.key.location, "\"\(key)\" is not supported in \(what)",
                    hint: "known are \(known.sorted().joined(separator: ", "))"))
        }
    }

    private func parameter(
        _ item: YAMLNode, root: YAMLNode, file: String, pointer: String, _ loader: inout SchemaLoader
    ) -> Parameter? {
        var node = item
        var pointer = pointer
        if let reference = item["$ref"] {
            let prefix = "#/components/parameters/"
            guard let text = reference.text, text.hasPrefix(prefix),
                let target = root["components"]?["parameters"]?[String(text.dropFirst(prefix.count))]
            else {
                loader.found.append(
                    Diagnostic(
                        reference.location, "the reference leads nowhere: \(reference.text ?? "")",
                        hint: "a parameter's reference is #/components/parameters/NAME in the same document"))
                return nil
            }
            node = target
            pointer = String(text.dropFirst())
        }
        guard let name = node["name"]?.text, let schema = node["schema"] else {
            loader.found.append(
                Diagnostic(
                    node.location, "a parameter needs \"name\" and \"schema\"",
                    hint: "\"content\" in place of \"schema\" is not supported"))
            return nil
        }
        guard let inNode = node["in"], let place = Parameter.Place(rawValue: inNode.text ?? "") else {
            loader.found.append(
                Diagnostic(
                    node["in"]?.location ?? node.location, "a parameter must be in \"path\" or \"query\"",
                    hint: "parameters in headers and cookies are not supported"))
            return nil
        }
        let known: Set = ["name", "in", "description", "required", "schema", "deprecated", "example", "examples"]
        var extensions: [String: YAMLNode] = [:]
        for entry in node.entries ?? [] {
            let key = entry.key.text ?? ""
            if key.hasPrefix("x-") {
                extensions[key] = entry.value
            } else if !known.contains(key) {
                loader.found.append(
                    Diagnostic(
                        entry.key.location, "\"\(key)\" is not supported in a parameter",
                        hint:
                            "remove it with the overlay; arrays are repeated parameters, as OpenAPI's defaults have it")
                )
            }
        }
        return Parameter(
            name: name, place: place, isRequired: node["required"]?.bool ?? false,
            schema: loader.schema(schema, file: file, pointer: pointer + "/schema"),
            description: node["description"]?.text, location: node.location, extensions: extensions)
    }

    /// Every `{name}` of the path needs a path parameter, and the other way round.
    private func checkPath(
        _ path: String, _ parameters: [Parameter], at location: SourceLocation, _ loader: inout SchemaLoader
    ) {
        let names = path.split(separator: "{").dropFirst().map { String($0.prefix { $0 != "}" }) }
        let declared = parameters.filter { $0.place == .path }.map(\.name)
        for name in names where !declared.contains(name) {
            loader.found.append(
                Diagnostic(
                    location, "the path has {\(name)} but no parameter of that name",
                    hint: "add {name: \(name), in: path, required: true, schema: {type: string}}"))
        }
        for name in declared where !names.contains(name) {
            loader.found.append(
                Diagnostic(
                    location, "the path parameter \"\(name)\" is not in the path \(path)",
                    hint: "write {\(name)} in the path, or remove the parameter"))
        }
    }
}
