import HTTPClient
package import Orchestrator

extension DockerEngine {
    private struct Container: Decodable {
        struct State: Decodable {
            var status: String
            var running: Bool
            var oOMKilled: Bool?
            var exitCode: Int32?
            var error: String?
        }
        var state: State
    }

    package func state(_ name: String) async throws(EngineError) -> ContainerState? {
        let response = try await ask("GET", "/containers/\(name)/json", accepted: [404])
        if response.status == 404 { return nil }
        let state = try Self.decode(Container.self, response).state
        switch state.status {
        case "created", "configured", "initialized": return .created
        case _ where state.running: return .running
        // Podman, between the signal and the end.
        case "stopping": return .running
        default:
            return .ended(
                code: state.exitCode ?? -1, isOutOfMemory: state.oOMKilled ?? false, message: state.error ?? "")
        }
    }

    package func wait(_ name: String) async throws(EngineError) -> ContainerState {
        while true {
            _ = try await ask("POST", "/containers/\(name)/wait", timeout: nil)
            guard let state = try await state(name) else { throw .missing("the container \(name) is gone") }
            if case .ended = state { return state }
            // An engine that restarts lets go of who waits.
            if Task.isCancelled { throw .unreachable("cancelled") }
            try? await Task.sleep(for: .milliseconds(200))
        }
    }
}
