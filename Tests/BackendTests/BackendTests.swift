import Testing

/// The contract of every backend, on an engine without isolation: always.
@Suite("Backend in memory")
struct InMemoryBackendTests {
    @Test(.timeLimit(.minutes(3)), arguments: BackendCase.everywhere)
    func keepsTheContract(_ example: BackendCase) async throws {
        try await example.run(.memory)
    }
}

/// The contract of every backend, on a container engine of this machine.
@Suite(
    "Backend on a container engine", .serialized,
    .enabled(if: BackendPlace.real != nil, "needs an engine: set POIESIS_TEST_ENGINE=unix://SOCKET"))
struct ContainerBackendTests {
    @Test(.timeLimit(.minutes(3)), arguments: BackendCase.everywhere + BackendCase.inContainers)
    func keepsTheContract(_ example: BackendCase) async throws {
        try await example.run(try #require(BackendPlace.real))
    }
}
