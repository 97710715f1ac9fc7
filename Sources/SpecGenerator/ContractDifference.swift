/// What a change of the specification means for the handwritten code: the second part of the report.
struct ContractDifference {
    private(set) var lines: [String] = []

    init(from old: Contract, to new: Contract) {
        compareOperations(old.operations, new.operations)
        compareTypes(old.structures, new.structures, name: \.name, Self.compare)
        compareTypes(old.enumerations, new.enumerations, name: \.name, Self.compare)
    }

    private mutating func compareTypes<Model>(
        _ old: [Model], _ new: [Model], name: (Model) -> String, _ compare: (Model, Model) -> [String]
    ) {
        for model in new {
            if let before = old.first(where: { name($0) == name(model) }) {
                lines += compare(before, model)
            } else {
                lines.append("the type \(name(model)) is new")
            }
        }
        for model in old where !new.contains(where: { name($0) == name(model) }) {
            lines.append("the type \(name(model)) is gone: the compiler names its uses")
        }
    }

    private mutating func compareOperations(_ old: [OperationModel], _ new: [OperationModel]) {
        for operation in new {
            guard let before = old.first(where: { $0.name == operation.name }) else {
                lines.append(
                    "\(operation.method.uppercased()) \(operation.path) is left to its stub, which answers 501, until Handlers has \(operation.name)"
                )
                continue
            }
            if before.output != operation.output {
                lines.append("\(operation.name) answers \(operation.output.swift), it was \(before.output.swift)")
            }
            let names = Set(before.parameters.map(\.swiftName))
            for parameter in operation.parameters where !names.contains(parameter.swiftName) {
                lines.append(
                    "\(operation.typeName).Input.\(parameter.swiftName) is new: the handler does not look at it yet")
            }
        }
        for operation in old where !new.contains(where: { $0.name == operation.name }) {
            lines.append("\(operation.name) is gone: nobody calls its handler any more")
        }
    }

    private static func compare(_ old: StructureModel, _ new: StructureModel) -> [String] {
        let changed: [String] = new.properties.compactMap { property in
            let place = "\(new.name).\(property.swiftName)"
            guard let before = old.properties.first(where: { $0.jsonName == property.jsonName }) else {
                return
                    "\(place): \(property.declaredType) is new: stored and answered as a client sends it; nothing else sets or uses it yet"
            }
            if before.declaredType == property.declaredType { return nil }
            return
                "\(place) was \(before.declaredType) and is \(property.declaredType): the compiler names what has to follow"
        }
        let gone = old.properties.filter { property in !new.properties.contains { $0.jsonName == property.jsonName } }
        return changed + gone.map { "\(new.name).\($0.swiftName) is gone: the compiler names its uses" }
    }

    private static func compare(_ old: EnumerationModel, _ new: EnumerationModel) -> [String] {
        new.cases.filter { !old.cases.contains($0) }.map {
            "\(new.name).\($0.swiftName) is new: each switch over \(new.name) has to say what it means"
        }
            + old.cases.filter { !new.cases.contains($0) }.map {
                "\(new.name).\($0.swiftName) is gone: the compiler names its uses"
            }
    }
}
