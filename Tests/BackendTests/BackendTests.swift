import TestServers
import Testing

/// The contract of every backend, on an engine without isolation: always.
@Suite("Backend in memory")
struct InMemoryBackendTests {
    @Test(.timeLimit(.minutes(5)), arguments: BackendCase.everywhere)
    func keepsTheContract(_ example: BackendCase) async throws {
        try await example.run(.memory)
    }
}

/// The contract of every backend, on a container engine of this machine.
@Suite(
    "Backend on a container engine", .serialized,
    .enabled(if: BackendPlace.real != nil, "needs an engine: set POIESIS_TEST_ENGINE=unix://SOCKET"))
struct ContainerBackendTests {
    @Test(.timeLimit(.minutes(5)), arguments: BackendCase.everywhere + BackendCase.inContainers)
    func keepsTheContract(_ example: BackendCase) async throws {
        try await example.run(try #require(BackendPlace.real))
    }
}

/// The contract of every backend, on a played cluster whose containers are real.
@Suite(
    "Backend on a cluster",
    .enabled(
        if: BackendPlace.playedCluster != nil,
        "needs the docker command and an engine: set POIESIS_TEST_ENGINE=unix://SOCKET"))
struct ClusterBackendTests {
    /// What a cluster does not keep: it knows of no machine's size unless it is told, it finds an image missing when that is its turn,
    /// not before, what workers leave behind it does not have, and a kubelet refuses a replaced folder in words of its own.
    private static let exceptions = [
        "a task that needs more than there is ends at once",
        "an image that cannot be had is SYSTEM_ERROR with its name, and nothing runs",
        "what attempts of nobody left behind is removed at the start",
        "a shim that cannot write its result names a full disk",
        "a mount's source that was replaced by a link is never mounted",
    ]

    static let cases = (BackendCase.everywhere + BackendCase.inContainers).filter { !exceptions.contains($0.name) }

    /// Each Pod has five containers and more; most of their time they wait for one another.
    private static let pods = Semaphore(8)

    @Test(arguments: cases)
    func keepsTheContract(_ example: BackendCase) async throws {
        await Self.pods.wait()
        defer { Self.pods.signal() }
        try await example.run(try #require(BackendPlace.playedCluster))
    }

    @Test func theExceptionsAreCases() {
        #expect(
            Self.cases.count + Self.exceptions.count == BackendCase.everywhere.count + BackendCase.inContainers.count)
    }
}
