/// What a change of the specification means for the handwritten code: the second part of the report.
struct ContractDifference {
    private(set) var lines: [String] = []

    init(from old: Contract, to new: Contract) {
        compareOperations(old.operations, new.operations)
        for structure in new.structures {
            guard let before = old.structures.first(where: { $0.name == structure.name }) else {
                lines.append("the type \(structure.name) is new")
                continue
            }
            compare(before, structure)
        }
        for structure in old.structures where !new.structures.contains(where: { $0.name == structure.name }) {
            lines.append("the type \(structure.name) is gone: the compiler names its uses")
        }
        for enumeration in new.enumerations {
            guard let before = old.enumerations.first(where: { $0.name == enumeration.name }) else {
                lines.append("the type \(enumeration.name) is new")
                continue
            }
            compare(before, enumeration)
        }
        for enumeration in old.enumerations where !new.enumerations.contains(where: { $0.name == enumeration.name }) {
            lines.append("the type \(enumeration.name) is gone: the compiler names its uses")
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

    private mutating func compare(_ old: StructureModel, _ new: StructureModel) {
        for property in new.properties {
            let place = "\(new.name).\(property.swiftName)"
            guard let before = old.properties.first(where: { $0.jsonName == property.jsonName }) else {
                lines.append(
                    "\(place): \(property.declaredType) is new: stored and answered as a client sends it; nothing else sets or uses it yet"
                )
                continue
            }
            if before.declaredType != property.declaredType {
                lines.append(
                    "\(place) was \(before.declaredType) and is \(property.declaredType): the compiler names what has to follow"
                )
            }
        }
        for property in old.properties where !new.properties.contains(where: { $0.jsonName == property.jsonName }) {
            lines.append("\(new.name).\(property.swiftName) is gone: the compiler names its uses")
        }
    }

    private mutating func compare(_ old: EnumerationModel, _ new: EnumerationModel) {
        for value in new.cases where !old.cases.contains(value) {
            lines.append("\(new.name).\(value.swiftName) is new: each switch over \(new.name) has to say what it means")
        }
        for value in old.cases where !new.cases.contains(value) {
            lines.append("\(new.name).\(value.swiftName) is gone: the compiler names its uses")
        }
    }
}
