import Foundation
import KubernetesFake

/// A recorded scenario, as far as it is told to the fake: what the client did and when, and how each container ended.
struct RecordedScenario {
    enum Action: Equatable {
        case postClaim
        case deleteJob(String)
        case deletePod(grace: Int?)
        case evictPod
        case suspend(Bool)
        case removeQuota
        case stopKubelet
        case startKubelet
        case loseSandbox
        case restartNode
    }

    let name: String
    let request: JSON
    var namespace: String { request["job"]["metadata"]["namespace"].text ?? "poiesis" }
    /// Seconds since the Job was posted.
    let actions: [(at: Double, action: Action)]
    /// The last state that each container was in, by Pod in the order of their creation.
    let ends: [[String: JSON]]
    /// When each container was first shown running, and when it was first shown ended.
    let shown: [String: (from: Double, to: Double)]
    let length: Double
    /// How often each container was restarted, and how it ended the time before the last.
    private(set) var restartCounts: [String: Int] = [:]
    private(set) var firstEnds: [String: JSON] = [:]

    init(_ name: String) throws {
        self.name = name
        request = try Recordings.json("\(name)/create.request.json")
        let lines = try Recordings.text("\(name)/timeline.txt").split(separator: "\n")
        var start = 0.0
        for line in lines where line.contains("POST job ->") { start = Self.time(line) }
        var actions: [(at: Double, action: Action)] = []
        var shown: [String: (from: Double, to: Double)] = [:]
        for line in lines {
            let at = max(0.001, Self.time(line) - start)
            if line.contains("--- client"), let action = Self.action(line) { actions.append((at, action)) }
            guard line.contains("pod MODIFIED") else { continue }
            for match in line.matches(of: /\ ([a-z0-9,-]+)=(\S+)/) {
                for container in match.1.split(separator: ",").map(String.init) {
                    if match.2.hasPrefix("run") && shown[container] == nil { shown[container] = (at, .infinity) }
                    if match.2.contains("/"), shown[container]?.to == .infinity { shown[container]?.to = at }
                }
            }
        }
        self.actions = actions
        self.shown = shown
        length = Self.time(lines.last ?? "0") - start
        var pods: [String] = []
        var ends: [[String: JSON]] = []
        for event in try Recordings.watch("\(name)/pods.watch.jsonl") {
            guard let pod = event.object["metadata"]["name"].text else { continue }
            if !pods.contains(pod) {
                pods.append(pod)
                ends.append([:])
            }
            let status = event.object["status"]
            for container in status["initContainerStatuses"].items + status["containerStatuses"].items {
                if let last = container["lastState"]["terminated"], last["reason"] != "ContainerStatusUnknown" {
                    restartCounts[container["name"].text ?? ""] = container["restartCount"].int
                    firstEnds[container["name"].text ?? ""] = last
                }
                guard let end = container["state"]["terminated"], end["reason"] != "ContainerStatusUnknown" else {
                    continue
                }
                ends[ends.count - 1][container["name"].text ?? ""] = end
            }
        }
        self.ends = ends
    }

    private static func time(_ line: Substring) -> Double {
        line.firstMatch(of: /\s*([0-9.]+)/).flatMap { Double($0.1) } ?? 0
    }

    private static func action(_ line: Substring) -> Action? {
        if line.contains("POST pvc") { return .postClaim }
        if let match = line.firstMatch(of: /DELETE job propagationPolicy=(\w+)/) { return .deleteJob(String(match.1)) }
        if line.contains("DELETE pod gracePeriodSeconds=0") { return .deletePod(grace: 0) }
        if line.contains("DELETE pod") { return .deletePod(grace: nil) }
        if line.contains("POST eviction") { return .evictPod }
        if let match = line.firstMatch(of: /PATCH job suspend=(\w+)/) { return .suspend(match.1 == "True") }
        if line.contains("ResourceQuota deleted") { return .removeQuota }
        if line.hasSuffix("kubelet stopped") { return .stopKubelet }
        if line.hasSuffix("kubelet started again") { return .startKubelet }
        if line.contains("SIGKILL to the sandbox") { return .loseSandbox }
        if line.contains("all processes of the node killed") { return .restartNode }
        return nil
    }

    /// When somebody ended the Pod while a container ran that ended soon after; nil if nobody did.
    private func told(_ container: String) -> Double? {
        guard let (from, to) = shown[container], to < .infinity else { return nil }
        return actions.last { at, action in
            switch action {
            case .postClaim, .suspend(false), .removeQuota, .stopKubelet, .startKubelet: false
            default: from < at && at < to && to - at < 12
            }
        }?.at
    }

    /// What a container does, so that it ends as it did in the recording.
    /// - Parameters:
    ///   - pod: the number of its Pod.
    ///   - restarts: how often the container was restarted before.
    func play(_ container: String, pod: Int, restarts: Int) -> Play {
        if pod == 0, restarts < (restartCounts[container] ?? 0), let (from, to) = shown[container] {
            return .ends(firstEnds[container]["exitCode"].int ?? 1, after: max(0.05, to - from - 0.9))
        }
        guard pod < ends.count, let end = ends[pod][container], let code = end["exitCode"].int else { return .runs() }
        let reason = end["reason"].text
        let message = end["message"].text ?? ""
        if reason == "StartError" { return .cannotStart(message) }
        let told = pod == 0 ? told(container) : nil
        if container == "trec" || told != nil || code == 255 {
            if code == 137 { return .ignoresSignals }
            let to = shown[container]?.to ?? 0
            return .script(
                Script(
                    end: nil, onTerminate: ContainerEnd(code, message: message),
                    terminateAfter: told.map { $0 + 4.8 < to ? 0.1 : max(0.05, to - $0 - 0.15) } ?? 0.1))
        }
        let (from, to) = shown[container] ?? (0, 1)
        if actions.contains(where: { $0.action == .stopKubelet }),
            let begin = Timeline.seconds(end["startedAt"].text), let over = Timeline.seconds(end["finishedAt"].text)
        {
            // The status was late, the container was not.
            return .ends(code, after: max(0.05, over - begin), message: message)
        }
        let duration = pod > 0 || to == .infinity ? 0.3 : max(0.05, to - from - 0.9)
        let oom = reason == "OOMKilled" ? reason : nil
        return .script(Script(end: ContainerEnd(code, reason: oom, message: message), after: duration))
    }
}
