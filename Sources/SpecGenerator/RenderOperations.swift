/// Inputs of the operations, the handlers' protocol with its stubs, and the route table.
struct OperationRenderer {
    /// Whose code it is: a client needs neither the decoding of requests nor handlers nor the route table.
    enum Side { case client, both }

    let access: String

    func render(_ contract: Contract, side: Side = .both) -> String {
        var source = Source(header: "Operations of \(contract.title) \(contract.version).")
        for operation in contract.operations {
            input(operation, side, &source)
            source.line()
        }
        if side == .client { return source.text }
        handlers(contract, &source)
        source.line()
        table(contract, &source)
        return source.text
    }

    private func input(_ operation: OperationModel, _ side: Side, _ source: inout Source) {
        source.documentation(operation.documentation, pointer: operation.pointer)
        source.block("nonisolated \(access) enum \(operation.typeName)") { source in
            source.line("\(access) typealias Output = \(operation.output.swift)")
            source.line()
            source.line("/// The parameters and the body of one request.")
            source.block("\(access) struct Input: Sendable") { source in
                for parameter in operation.parameters {
                    source.documentation(parameter.documentation, pointer: nil)
                    source.line("\(access) var \(parameter.swiftName): \(declared(parameter))")
                }
                if let body = operation.body { source.line("\(access) var body: \(body.swift)") }
                source.line()
                var arguments = operation.parameters.map { parameter in
                    "\(parameter.swiftName): \(declared(parameter))" + (initial(parameter).map { " = \($0)" } ?? "")
                }
                if let body = operation.body { arguments.append("body: \(body.swift)") }
                source.block("\(access) init(\(arguments.joined(separator: ", ")))") { source in
                    for parameter in operation.parameters {
                        source.line("self.\(parameter.swiftName) = \(parameter.swiftName)")
                    }
                    if operation.body != nil { source.line("self.body = body") }
                }
            }
            source.line()
            if side == .both {
                for parameter in operation.parameters {
                    let patterns = parameter.constraints.patterns + parameter.elementConstraints.patterns
                    for (index, pattern) in patterns.enumerated() {
                        source.pattern(pattern, name: patternName(parameter.name, index))
                    }
                }
                decoder(operation, &source)
                source.line()
            }
            query(operation, &source)
        }
    }

    private func initial(_ parameter: ParameterModel) -> String? {
        if parameter.isInPath || parameter.isRequired { return nil }
        if let value = parameter.defaultExpression { return value }
        if case .array = parameter.type { return "[]" }
        return "nil"
    }

    private func declared(_ parameter: ParameterModel) -> String {
        initial(parameter) == "nil" ? parameter.type.swift + "?" : parameter.type.swift
    }

    private func decoder(_ operation: OperationModel, _ source: inout Source) {
        source.line("/// Decodes a request; all problems are found at once.")
        let body = operation.body.map { ", body: \($0.swift)" } ?? ""
        source.block("\(access) static func input(_ parameters: inout RequestParameters\(body)) -> Input") { source in
            source.line("Input(")
            source.indented { source in
                var arguments = operation.parameters.map { "\(Names.label($0.swiftName)): \(decode($0))" }
                if operation.body != nil { arguments.append("body: body") }
                for (index, argument) in arguments.enumerated() {
                    source.line(argument + (index == arguments.count - 1 ? ")" : ","))
                }
                if arguments.isEmpty { source.line(")") }
            }
        }
    }

    private func decode(_ parameter: ParameterModel) -> String {
        let name = literal(parameter.name)
        if parameter.isInPath { return "parameters.path(\(name)\(textBounds(parameter, parameter.constraints)))" }
        let fallback = parameter.defaultExpression.map { " ?? \($0)" } ?? ""
        switch parameter.type {
        case .int32, .int64:
            let bounds = arguments([
                ("minimum", parameter.constraints.minimum.map { Int64($0) }),
                ("maximum", parameter.constraints.maximum.map { Int64($0) }),
            ]).map { ", " + $0 }.joined()
            return "parameters.\(parameter.type == .int32 ? "int32" : "int64")(\(name)\(bounds))" + fallback
        case .enumeration(let type):
            return "parameters.enumeration(\(name), \(type).self, ignoresCase: \(parameter.ignoresCase))" + fallback
        case .array:
            let bounds = arguments([
                ("minItems", parameter.constraints.minItems.map(Int64.init)),
                ("maxItems", parameter.constraints.maxItems.map(Int64.init)),
            ]).map { ", " + $0 }.joined()
            return "parameters.strings(\(name)\(bounds)\(textBounds(parameter, parameter.elementConstraints)))"
        default: return "parameters.string(\(name)\(textBounds(parameter, parameter.constraints)))" + fallback
        }
    }

    private func arguments(_ bounds: [(name: String, value: Int64?)]) -> [String] {
        bounds.compactMap { name, value in value.map { "\(name): \($0)" } }
    }

    private func textBounds(_ parameter: ParameterModel, _ bounds: Constraints) -> String {
        var list = arguments([
            ("minLength", bounds.minLength.map(Int64.init)), ("maxLength", bounds.maxLength.map(Int64.init)),
        ])
        if !bounds.patterns.isEmpty {
            let patterns = bounds.patterns.enumerated().map { index, pattern in
                "(\(patternName(parameter.name, index)), \(literal(pattern.text)))"
            }
            list.append("patterns: [\(patterns.joined(separator: ", "))]")
        }
        return list.isEmpty ? "" : ", TextBounds(\(list.joined(separator: ", ")))"
    }

    private func query(_ operation: OperationModel, _ source: inout Source) {
        source.line("/// The query of a request, in the specification's order.")
        source.block("\(access) static func query(_ input: Input) -> [(name: String, value: String)]") { source in
            let parameters = operation.parameters.filter { !$0.isInPath }
            guard !parameters.isEmpty else {
                source.line("[]")
                return
            }
            source.line("var query: [(name: String, value: String)] = []")
            for parameter in parameters {
                let name = literal(parameter.name)
                let access = "input.\(parameter.swiftName)"
                switch parameter.type {
                case .array: source.line("for value in \(access) { query.append((\(name), value)) }")
                case .enumeration where declared(parameter).hasSuffix("?"):
                    source.line("if let value = \(access) { query.append((\(name), value.rawValue)) }")
                case .enumeration: source.line("query.append((\(name), \(access).rawValue))")
                default: source.line("if let value = \(access) { query.append((\(name), \"\\(value)\")) }")
                }
            }
            source.line("return query")
        }
    }

    private func handlers(_ contract: Contract, _ source: inout Source) {
        source.line("/// One requirement for each operation; what a server leaves out answers 501.")
        source.block("nonisolated \(access) protocol TESHandlers: Sendable") { source in
            source.line("/// What a handler knows of the request beside its input: who asks, and the request's id.")
            source.line("associatedtype Context: Sendable")
            for operation in contract.operations {
                source.line()
                source.documentation(operation.documentation, pointer: operation.pointer)
                source.line(signature(operation))
            }
        }
        source.line()
        source.block("nonisolated extension TESHandlers") { source in
            for operation in contract.operations {
                source.block(access + " " + signature(operation)) { source in
                    source.line("throw OperationNotImplemented(operation: \(literal(operation.typeName)))")
                }
            }
        }
    }

    private func signature(_ operation: OperationModel) -> String {
        "func \(operation.name)(_ input: \(operation.typeName).Input, context: Context) async throws -> Answer<\(operation.output.swift)>"
    }

    private func table(_ contract: Contract, _ source: inout Source) {
        source.line("/// Every operation's method and path, in the specification's order.")
        source.block("nonisolated \(access) enum TESRoutes") { source in
            source.line("/// The path that the specification's paths are relative to.")
            source.line("\(access) static let basePath = \(literal(contract.basePath))")
            source.line("\(access) static let all: [Route] = [")
            source.indented { source in
                for operation in contract.operations {
                    source.line(
                        "Route(operation: \(literal(operation.typeName)), method: \(literal(operation.method)), path: \(literal(operation.path))),"
                    )
                }
            }
            source.line("]")
        }
    }
}
