import Migrations
package import SpecDocument
package import YAML

/// What one run generates: the code of one target.
package enum GeneratedPart: String, Sendable, CaseIterable {
    /// Types, JSON coding, validation, operations and client.
    case types
    /// Registration on a Hummingbird router.
    case routes
    /// The description itself, whole in one document.
    case description
    /// PostgreSQL schema and statements.
    case store
}

/// Who may use what is generated: the modules of one package, or everybody.
package enum AccessLevel: String, Sendable, CaseIterable {
    case `package`
    case `public`
}

/// A generated file: its name and its text.
package struct GeneratedFile: Hashable, Sendable {
    package var name: String
    package var text: String
}

/// The whole machine: located nodes in, files out; pure, the disk is the command line's.
package struct GeneratorPipeline: Sendable {
    /// The document to generate from and those it refers to.
    package struct Input: Sendable {
        package var document: String
        package var files: [String: YAMLNode]
        package var references: [String: String]
        package var overlay: YAMLNode?
        package var persistence: YAMLNode?
        /// The files of migrations, in any order.
        package var migrations: [(path: String, text: String)]

        /// - Parameters:
        ///   - document: the main document's name in `files`.
        ///   - files: parsed documents by name.
        ///   - references: absolute URL → name in `files`.
        package init(
            document: String, files: [String: YAMLNode], references: [String: String] = [:], overlay: YAMLNode? = nil,
            persistence: YAMLNode? = nil, migrations: [(path: String, text: String)] = []
        ) {
            self.document = document
            self.files = files
            self.references = references
            self.overlay = overlay
            self.persistence = persistence
            self.migrations = migrations
        }
    }

    /// The modifier of every generated declaration, as the renderers write it.
    private let access: String

    package init(access: AccessLevel = .package) {
        self.access = access.rawValue
    }

    /// The files of one part. The same input gives the same bytes.
    package func generate(_ part: GeneratedPart, from input: Input) throws(Diagnostics) -> [GeneratedFile] {
        let contract = try contract(input)
        switch part {
        case .types:
            return [
                GeneratedFile(name: "Types.swift", text: TypeRenderer(access: access).render(contract)),
                GeneratedFile(name: "JSON.swift", text: JSONRenderer(access: access).render(contract)),
                GeneratedFile(name: "Validation.swift", text: ValidationRenderer(access: access).render(contract)),
                GeneratedFile(name: "Operations.swift", text: OperationRenderer(access: access).render(contract)),
                GeneratedFile(name: "Client.swift", text: ClientRenderer(access: access).render(contract)),
            ]
        case .routes:
            return [GeneratedFile(name: "Routes.swift", text: RouteRenderer(access: access).render(contract))]
        case .description:
            let documents = try overlaid(input)
            let description = DescriptionRenderer(
                root: documents[input.document] ?? YAMLNode(.mapping([]), location: Self.start(input)),
                documents: documents, references: input.references)
            return [GeneratedFile(name: "Description.swift", text: description.render(contract, access: access))]
        case .store:
            let tables = try tables(input, contract)
            let migrations = try input.history()
            let history =
                migrations.isEmpty
                ? []
                : [
                    GeneratedFile(name: "Migrations.swift", text: MigrationRenderer(access: access).render(migrations))
                ]
            return history + [
                GeneratedFile(name: "Schema.swift", text: SchemaRenderer(access: access).render(tables, contract)),
                GeneratedFile(
                    name: "Statements.swift", text: StatementRenderer(access: access).render(tables, contract)),
            ]
        }
    }

    /// What another package asked for. The same input gives the same bytes.
    package static func generate(
        _ configuration: GeneratorConfiguration, from input: Input
    ) throws(Diagnostics) -> [GeneratedFile] {
        let access = configuration.access.rawValue
        let contract = try Self(access: configuration.access).contract(input)
        try configuration.check(contract)
        var files = [
            GeneratedFile(name: "Types.swift", text: TypeRenderer(access: access).render(contract)),
            GeneratedFile(name: "JSON.swift", text: JSONRenderer(access: access).render(contract)),
        ]
        if configuration.parts.contains(.validation) {
            files.append(
                GeneratedFile(name: "Validation.swift", text: ValidationRenderer(access: access).render(contract)))
        }
        if configuration.parts.contains(.client) {
            files += [
                GeneratedFile(
                    name: "Operations.swift", text: OperationRenderer(access: access).render(contract, side: .client)),
                GeneratedFile(
                    name: "Client.swift",
                    text: ClientRenderer(access: access, name: configuration.clientName).render(contract)),
            ]
        }
        return files
    }

    /// The DDL alone, as one SQL script.
    package func schema(from input: Input) throws(Diagnostics) -> String {
        let contract = try contract(input)
        let statements = SchemaRenderer(access: access).statements(try tables(input, contract))
        return statements.map { $0 + ";\n" }.joined(separator: "\n")
    }

    private func overlaid(_ input: Input) throws(Diagnostics) -> [String: YAMLNode] {
        var files = input.files
        if let overlay = input.overlay, let document = files[input.document] {
            files[input.document] = try Overlay(overlay).apply(to: document)
        }
        return files
    }

    private static func start(_ input: Input) -> SourceLocation {
        SourceLocation(file: input.document, line: 1, column: 1)
    }

    func contract(_ input: Input) throws(Diagnostics) -> Contract {
        let files = try overlaid(input)
        let document = try DocumentLoader(documents: files, references: input.references).load(input.document)
        var lowering = Lowering(document)
        return try lowering.contract()
    }

    func tables(_ input: Input, _ contract: Contract) throws(Diagnostics) -> [TableModel] {
        guard let node = input.persistence else {
            throw Diagnostics([
                Diagnostic(
                    Self.start(input), "there is no persistence file",
                    hint: "give one with --persistence FILE")
            ])
        }
        var lowering = TableLowering(contract)
        return try lowering.tables(node)
    }
}
