package import Orchestrator

extension DockerEngine {
    package func stop(_ name: String, grace: Duration) async throws(EngineError) {
        let seconds = grace.components.seconds
        _ = try await call(
            "POST", "/containers/\(name)/stop", query: [("t", "\(seconds)")], accepted: [304, 404],
            timeout: .seconds(seconds + 60))
    }

    package func remove(_ name: String) async throws(EngineError) {
        _ = try await call("DELETE", "/containers/\(name)", query: [("force", "true"), ("v", "true")], accepted: [404])
    }
}
