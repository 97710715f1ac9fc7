package import KubernetesAPI

extension KubernetesConfiguration.AllowedParameters {
    /// Keys of `backend_parameters` that this cluster supports: for service info, and for the rules of new tasks.
    package var keys: Set<String> {
        var keys: Set<BackendParameters.Key> = [.walltime]
        if !nodeSelectorKeys.isEmpty { keys.insert(.nodeSelector) }
        if !tolerations.isEmpty { keys.insert(.tolerations) }
        if !runtimeClasses.isEmpty { keys.insert(.runtimeClass) }
        if !serviceAccounts.isEmpty { keys.insert(.serviceAccount) }
        if !priorityClasses.isEmpty { keys.insert(.priorityClass) }
        if maximumGPUs > 0 { keys.insert(.gpus) }
        if !userIDs.isEmpty { keys.insert(.runAsUser) }
        if !groupIDs.isEmpty { keys.insert(.runAsGroup) }
        return Set(keys.map(\.rawValue))
    }
}

/// A task's `backend_parameters`, held to the operator's allow-lists.
package struct BackendParameters: Hashable, Sendable {
    package enum Key: String, CaseIterable, Sendable {
        case nodeSelector = "node_selector"
        case tolerations
        case runtimeClass = "runtime_class"
        case serviceAccount = "service_account"
        case priorityClass = "priority_class"
        case gpus
        case walltime
        case runAsUser = "run_as_user"
        case runAsGroup = "run_as_group"
    }

    /// A parameter that does not hold, and what may be there instead.
    package struct Refusal: Error, Hashable, Sendable {
        /// As the task spells it.
        package var key: String
        package var message: String
    }

    package private(set) var nodeSelector: [String: String] = [:]
    package private(set) var tolerations: [Toleration] = []
    package private(set) var runtimeClass: String?
    package private(set) var serviceAccount: String?
    package private(set) var priorityClass: String?
    package private(set) var gpus = 0
    /// Seconds that each executor's program may run: for the executors' plans, not for the Pod, so that outputs are still uploaded.
    package private(set) var walltime: Int64?
    package private(set) var runAsUser: Int64?
    package private(set) var runAsGroup: Int64?
    /// In the order of their keys.
    package private(set) var refused: [Refusal] = []

    /// - Parameter parameters: keys in any case.
    package init(_ parameters: [String: String], configuration: KubernetesConfiguration) {
        let allowed = configuration.allowed
        let known = allowed.keys
        var seen: Set<Key> = []
        for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
            do throws(Refusal) {
                guard known.contains(name.lowercased()), let key = Key(rawValue: name.lowercased()) else {
                    throw Refusal(key: name, message: "is not supported by this server")
                }
                guard seen.insert(key).inserted else {
                    throw Refusal(key: name, message: "is there twice, in another case: keep one")
                }
                let reader = ParameterReader(name: name, value: value)
                switch key {
                case .nodeSelector: nodeSelector = try reader.nodeSelector(allowed.nodeSelectorKeys)
                case .tolerations: tolerations = try reader.tolerations(allowed.tolerations)
                case .runtimeClass: runtimeClass = try reader.choice(allowed.runtimeClasses)
                case .serviceAccount: serviceAccount = try reader.choice(allowed.serviceAccounts)
                case .priorityClass: priorityClass = try reader.choice(allowed.priorityClasses)
                case .gpus: gpus = try reader.gpus(maximum: allowed.maximumGPUs)
                case .walltime: walltime = try reader.walltime(maximum: allowed.maximumWalltime)
                case .runAsUser:
                    runAsUser = try reader.id(
                        allowed.userIDs, mayBeRoot: configuration.security.profile != .restricted)
                case .runAsGroup: runAsGroup = try reader.id(allowed.groupIDs, mayBeRoot: true)
                }
            } catch { refused.append(error) }
        }
    }

    /// Ten years: nobody means more, and clocks count in microseconds.
    private static let mostSeconds: Int64 = 3650 * 86400

    /// Reads a `walltime`: seconds, or a number with `s`, `m`, `h` or `d`; nil for anything else, and for more than 3650 days.
    package static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        let unit = text.last.flatMap { units[$0] }
        let digits = unit == nil ? text : String(text.dropLast())
        guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int64(digits), number > 0 else {
            return nil
        }
        let (seconds, isTooLarge) = number.multipliedReportingOverflow(by: unit ?? 1)
        return isTooLarge || seconds > mostSeconds ? nil : seconds
    }
}

/// Reads one parameter's text.
private struct ParameterReader {
    typealias Refusal = BackendParameters.Refusal
    /// As the task spells it.
    var name: String
    var value: String

    private func refuse(_ message: String) -> Refusal { Refusal(key: name, message: message) }

    /// Items between commas, without spaces around them.
    private var items: [String] {
        value.split(separator: ",").map { item in
            var item = item
            while item.first == " " { item.removeFirst() }
            while item.last == " " { item.removeLast() }
            return String(item)
        }
    }

    func nodeSelector(_ keys: Set<String>) throws(Refusal) -> [String: String] {
        var result: [String: String] = [:]
        for item in items {
            let halves = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard halves.count == 2, KubernetesNames.isLabelValue(halves[1]) else {
                throw refuse("must be LABEL=VALUE, separated by commas, not \"\(item)\"")
            }
            guard keys.contains(halves[0]) else {
                throw refuse("may name \(keys.sorted().joined(separator: ", ")), not \"\(halves[0])\"")
            }
            result[halves[0]] = halves[1]
        }
        if result.isEmpty { throw refuse("must be LABEL=VALUE, separated by commas") }
        return result
    }

    func tolerations(_ allowed: [Toleration]) throws(Refusal) -> [Toleration] {
        var result: [Toleration] = []
        for item in items {
            guard let toleration = allowed.first(where: { $0.text == item }) else {
                let choices = allowed.map(\.text).joined(separator: ", ")
                throw refuse("may hold \(choices), separated by commas, not \"\(item)\"")
            }
            if !result.contains(toleration) { result.append(toleration) }
        }
        if result.isEmpty { throw refuse("must name a taint") }
        return result
    }

    func choice(_ choices: Set<String>) throws(Refusal) -> String {
        guard choices.contains(value) else {
            throw refuse("may be \(choices.sorted().joined(separator: ", ")), not \"\(value)\"")
        }
        return value
    }

    func gpus(maximum: Int) throws(Refusal) -> Int {
        guard let count = Int(value), (0...maximum).contains(count) else {
            throw refuse("must be a whole number from 0 to \(maximum), not \"\(value)\"")
        }
        return count
    }

    func walltime(maximum: Int64?) throws(Refusal) -> Int64 {
        guard let seconds = BackendParameters.seconds(value) else {
            throw refuse("must be seconds, or a number with s, m, h or d up to 3650d, such as 90m, not \"\(value)\"")
        }
        if let maximum, seconds > maximum { throw refuse("may be at most \(maximum) seconds, not \"\(value)\"") }
        return seconds
    }

    func id(_ ranges: [ClosedRange<Int64>], mayBeRoot: Bool) throws(Refusal) -> Int64 {
        let choices = ranges.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound)" }
        guard let id = Int64(value), ranges.contains(where: { $0.contains(id) }) else {
            throw refuse("may be \(choices.joined(separator: ", ")), not \"\(value)\"")
        }
        if id == 0, !mayBeRoot { throw refuse("must not be 0: this cluster runs nothing as root") }
        return id
    }
}
