/// A typed client over a transport, and the registration of the routes on a Hummingbird router.
struct ClientRenderer {
    let access: String
    /// The client's type.
    var name = "TESClient"

    func render(_ contract: Contract) -> String {
        var source = Source(header: "Client of \(contract.title) \(contract.version).")
        source.line(
            "/// Sends the specification's operations over a transport; an answer other than 2xx is thrown as ``ClientError``."
        )
        source.block("nonisolated \(access) struct \(name): Sendable") { source in
            source.line(
                "/// The path that the specification's paths are relative to; what a transport adds to its server's URL."
            )
            source.line("\(access) static let basePath = \(literal(contract.basePath))")
            source.line()
            source.line("private let transport: any ClientTransport")
            source.line()
            source.block("\(access) init(transport: any ClientTransport)") { $0.line("self.transport = transport") }
            for operation in contract.operations {
                source.line()
                source.documentation(operation.documentation, pointer: operation.pointer)
                source.block(
                    "\(access) func \(operation.name)(_ input: \(operation.typeName).Input) async throws -> \(operation.output.swift)"
                ) { source in
                    source.line("let answer = try await transport.send(")
                    source.indented { source in
                        source.line("method: \(literal(operation.method)), path: \(path(operation)),")
                        source.line(
                            "query: \(operation.typeName).query(input), body: \(operation.body == nil ? "nil" : "JSONWriter.encode(input.body)"))"
                        )
                    }
                    source.line("return try answer.decode(\(operation.output.swift).self)")
                }
            }
        }
        return source.text
    }

    private func path(_ operation: OperationModel) -> String {
        var text = literal(operation.path)
        for parameter in operation.parameters where parameter.isInPath {
            text = text.replacing("{\(parameter.name)}", with: "\\(percentEncoded(input.\(parameter.swiftName)))")
        }
        return text
    }
}

struct RouteRenderer {
    let access: String

    func render(_ contract: Contract) -> String {
        var source = Source(
            header: "Routes of \(contract.title) \(contract.version).",
            imports: ["package import Hummingbird", "package import TES"])
        source.line(
            "/// Registers every operation below a base path; a path's literal suffix goes before the bare parameter.")
        source.block(
            "\(access) func registerTESRoutes<H: TESHandlers>(on router: some RouterMethods<TESRequestContext>, base: String, adapter: OperationAdapter<H>) where H.Context == CallContext"
        ) { source in
            for operation in ordered(contract.operations) {
                for path in aliases(operation.path) {
                    source.block(
                        "router.on(RouterPath(base + \(literal(path))), method: .\(operation.method.lowercased()))"
                    ) { source in
                        source.line("request, context in")
                        let view =
                            operation.parameters.first(where: \.choosesView).map { "input.\($0.swiftName).position" }
                            ?? "nil"
                        let names = operation.parameters.filter(\.isInPath).map { literal($0.name) }.joined(
                            separator: ", ")
                        source.line(
                            "try await adapter.respond(request, context, operation: \(literal(operation.typeName)), pathParameters: [\(names)]) { parameters, body, context in"
                        )
                        source.indented { source in
                            if let type = operation.body {
                                source.line("let value = try body.decode(\(type.swift).self)")
                                source.line("let input = \(operation.typeName).input(&parameters, body: value)")
                            } else {
                                source.line("let input = \(operation.typeName).input(&parameters)")
                            }
                            source.line("try parameters.check()")
                            source.line(
                                "let answer = try await adapter.handlers.\(operation.name)(input, context: context)")
                            source.line("return EncodedAnswer(answer, viewLevel: \(view))")
                        }
                        source.line("}")
                    }
                }
            }
        }
        return source.text
    }

    /// The first registered sibling wins in Hummingbird's router: `{id}:cancel` has to come before `{id}`.
    private func ordered(_ operations: [OperationModel]) -> [OperationModel] {
        operations.filter { !$0.path.hasSuffix("}") } + operations.filter { $0.path.hasSuffix("}") }
    }

    /// The router does not decode percent escapes: clients that escape the colon get routes of their own.
    private func aliases(_ path: String) -> [String] {
        guard path.contains("}:") else { return [path] }
        return [path, path.replacing("}:", with: "}%3A"), path.replacing("}:", with: "}%3a")]
    }
}
