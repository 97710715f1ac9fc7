import Foundation
import LocalSystem
import TaskCore
import Testing

/// The shim as a process of this machine.
@Suite("Shim")
struct ShimTests {
    private func with(_ body: (_ folder: String) async throws -> Void) async throws {
        let folder = "/tmp/shim-\(UUID().uuidString.lowercased())"
        _ = try Folder.make(folder, mode: 0o755)
        defer { try? Folder("/tmp").remove(ContainerPath.name(folder)) }
        try await body(folder)
    }

    private func shim(_ arguments: String...) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(filePath: try BackendHarness.shimFolder() + "/poiesis-exec")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    private func run(_ plan: ExecutorPlan, in folder: String) throws -> (result: ExecutorResult?, stdout: String) {
        try? FileManager.default.removeItem(atPath: folder + "/control")
        _ = try Folder.make(folder + "/control")
        try Data(plan.encoded).write(to: URL(filePath: folder + "/control/plan"))
        try Data("run\n".utf8).write(to: URL(filePath: folder + "/control/turn"))
        _ = try shim(folder + "/control")
        let result = FileManager.default.contents(atPath: folder + "/control/result")
        let head = FileManager.default.contents(atPath: folder + "/control/stdout.head") ?? Data()
        return (result.flatMap { ExecutorResult(encoded: Array($0)) }, String(decoding: head, as: UTF8.self))
    }

    @Test func theProgramHasTheUmaskThatItWasGiven() async throws {
        try await with { folder in
            let expected = umask(0o022)
            umask(expected)
            let text = String(expected, radix: 8)
            let stdout = try run(ExecutorPlan(arguments: ["/bin/sh", "-c", "umask"]), in: folder).stdout
            #expect(stdout == String(repeating: "0", count: 4 - text.count) + text + "\n")
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func fifosAsRedirectsDoNotHang() async throws {
        try await with { folder in
            #expect(mkfifo(folder + "/fifo", 0o666) == 0)
            var plan = ExecutorPlan(arguments: ["/bin/cat"])
            plan.stdin = folder + "/fifo"
            #expect(try run(plan, in: folder).result?.exitCode == 0)
            plan.stdin = nil
            plan.stdout = folder + "/fifo"
            let result = try run(plan, in: folder).result
            #expect(result?.exitCode == 126 && result?.reason?.contains("cannot be written") == true)
        }
    }

    /// Starts the shim as an executor of a Pod, tells it to stop as soon as `ready` says so, and waits for its end.
    private func inPod(
        _ plan: ExecutorPlan, turn: String?, in folder: String, stopsWhen ready: String? = nil,
        by signal: Int32 = SIGTERM
    ) throws -> (status: Int32, result: ExecutorResult?) {
        _ = try Folder.make(folder + "/control")
        try Data(plan.encoded).write(to: URL(filePath: folder + "/control/plan"))
        if let turn { try Data("\(turn)\n".utf8).write(to: URL(filePath: folder + "/control/turn")) }
        let process = Process()
        process.executableURL = URL(filePath: try BackendHarness.shimFolder() + "/poiesis-exec")
        process.arguments = ["--pod", folder + "/control"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        if let ready {
            for _ in 0..<6000 where !FileManager.default.fileExists(atPath: ready) { usleep(20_000) }
            try #require(FileManager.default.fileExists(atPath: ready))
            kill(process.processIdentifier, signal)
        }
        process.waitUntilExit()
        let result = FileManager.default.contents(atPath: folder + "/control/result")
        return (process.terminationStatus, result.flatMap { ExecutorResult(encoded: Array($0)) })
    }

    @Test func inAPodTheShimEndsWell() async throws {
        try await with { folder in
            let end = try inPod(ExecutorPlan(arguments: ["/bin/sh", "-c", "exit 42"]), turn: "run", in: folder)
            #expect(end.status == 0 && end.result?.exitCode == 42)
        }
    }

    @Test func aTurnToSkipStartsNothing() async throws {
        try await with { folder in
            let end = try inPod(ExecutorPlan(arguments: ["/bin/touch", folder + "/made"]), turn: "skip", in: folder)
            #expect(end.status == 0 && end.result == nil)
            #expect(!FileManager.default.fileExists(atPath: folder + "/made"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/control/started"))
        }
    }

    @Test func toldToStopBeforeItsTurnItStartsNothing() async throws {
        try await with { folder in
            let plan = ExecutorPlan(arguments: ["/bin/touch", folder + "/made"])
            let end = try inPod(plan, turn: nil, in: folder, stopsWhen: folder + "/control/waiting")
            #expect(end.status == 143 && end.result == nil)
            #expect(!FileManager.default.fileExists(atPath: folder + "/made"))
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aTurnThatDoesNotComeIsNotWaitedForWhereNobodyLives() async throws {
        try await with { folder in
            var plan = ExecutorPlan(arguments: ["/bin/touch", folder + "/made"])
            plan.patience = 1
            let end = try inPod(plan, turn: nil, in: folder)
            #expect(end.status == 124 && end.result == nil)
            #expect(FileManager.default.fileExists(atPath: folder + "/control/waiting"))
            #expect(!FileManager.default.fileExists(atPath: folder + "/made"))
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aTurnIsWaitedForAsLongAsItsGiverLives() async throws {
        try await with { folder in
            let bin = try Folder.make(folder + "/bin", mode: 0o755)
            // Tests hold Swift's own threads.
            Thread.detachNewThread {
                // Three times the patience.
                let turn = ContinuousClock.now + .seconds(15)
                while ContinuousClock.now < turn {
                    try? bin.write("alive", Array("\(UInt64.random(in: 0...UInt64.max))".utf8), mode: 0o644)
                    Thread.sleep(forTimeInterval: 0.05)
                }
                try? Folder(folder + "/control").write("turn", Array("run\n".utf8))
            }
            var plan = ExecutorPlan(arguments: ["/bin/sh", "-c", "exit 3"])
            plan.patience = 5
            let end = try inPod(plan, turn: nil, in: folder)
            #expect(end.status == 0 && end.result?.exitCode == 3)
        }
    }

    @Test func afterAStopTheShimDoesNotEndWell() async throws {
        try await with { folder in
            let script = "trap 'exit 9' TERM; touch \(folder)/ready; while :; do sleep 0.05; done"
            let plan = ExecutorPlan(arguments: ["/bin/sh", "-c", script])
            let end = try inPod(plan, turn: "run", in: folder, stopsWhen: folder + "/ready")
            #expect(end.status == 143 && end.result?.exitCode == 9 && end.result?.stopSignal == SIGTERM)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aProgramThatIgnoresAStopIsKilledAfterItsGrace() async throws {
        try await with { folder in
            let script = "trap '' TERM; touch \(folder)/ready; while :; do sleep 0.05; done"
            var plan = ExecutorPlan(arguments: ["/bin/sh", "-c", script])
            plan.grace = 1
            let end = try inPod(plan, turn: "run", in: folder, stopsWhen: folder + "/ready")
            #expect(end.status == 143 && end.result?.exitCode == 137)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aProgramThatRunsTooLongIsStopped() async throws {
        try await with { folder in
            var plan = ExecutorPlan(arguments: ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])
            plan.walltime = 1
            plan.grace = 1
            let end = try inPod(plan, turn: "run", in: folder)
            #expect(end.status == 0 && end.result?.exitCode == 137)
            #expect(end.result?.isOverWalltime == true && end.result?.stopSignal == nil)
        }
    }

    /// The image says by its STOPSIGNAL which one the kubelet sends; 37 is the kernel's SIGRTMIN+3.
    @Test(.timeLimit(.minutes(5)), arguments: [SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGWINCH, 37])
    func inAPodEachSignalIsAStop(_ signal: Int32) async throws {
        try await with { folder in
            let script = "trap 'exit 9' TERM; touch \(folder)/ready; while :; do sleep 0.05; done"
            let plan = ExecutorPlan(arguments: ["/bin/sh", "-c", script])
            let end = try inPod(plan, turn: "run", in: folder, stopsWhen: folder + "/ready", by: signal)
            #expect(end.status == 143 && end.result?.exitCode == 9 && end.result?.stopSignal == SIGTERM)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aStopWhileTheOutputIsDrainedIsSeen() async throws {
        try await with { folder in
            // The child sees when the shim has taken note of the end, and holds the pipes open for the second that it waits.
            let child = "(while kill -0 $$ 2>/dev/null; do :; done; kill -TERM $PPID; sleep 20)"
            let plan = ExecutorPlan(arguments: ["/bin/sh", "-c", child + " & exit 42"])
            let end = try inPod(plan, turn: "run", in: folder)
            #expect(end.status == 143 && end.result?.exitCode == 42 && end.result?.stopSignal == nil)
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aWalltimeThatIsOverAfterAStopIsNotTheCause() async throws {
        try await with { folder in
            let script = "trap '' TERM; kill -TERM $PPID; while :; do sleep 0.05; done"
            var plan = ExecutorPlan(arguments: ["/bin/sh", "-c", script])
            plan.walltime = 5
            plan.grace = 8
            let end = try inPod(plan, turn: "run", in: folder)
            #expect(end.status == 143 && end.result?.exitCode == 137)
            #expect(end.result?.isOverWalltime == false && end.result?.stopSignal == SIGTERM)
        }
    }

    @Test func aWalltimeBeyondAllClocksIsNone() async throws {
        try await with { folder in
            var plan = ExecutorPlan(arguments: ["/bin/sh", "-c", "exit 3"])
            plan.walltime = .max
            let end = try inPod(plan, turn: "run", in: folder)
            #expect(end.status == 0 && end.result?.exitCode == 3)
        }
    }

    /// Others than the program's user are to read its result.
    @Test func aFolderThatAProgramClosedIsOpenedAgain() async throws {
        try await with { folder in
            let plan = ExecutorPlan(arguments: ["/bin/chmod", "700", folder + "/control"])
            let end = try inPod(plan, turn: "run", in: folder)
            #expect(end.status == 0 && end.result?.exitCode == 0)
            var status = stat()
            #expect(stat(folder + "/control", &status) == 0 && status.st_mode & 0o777 == 0o777)
        }
    }

    @Test func aShimThatWasStartedBeforeIsToldApart() async throws {
        try await with { folder in
            let plan = ExecutorPlan(arguments: ["/bin/true"])
            let (first, second) = (try run(plan, in: folder), try shim(folder + "/control"))
            #expect(first.result?.exitCode == 0 && second == 123)
        }
    }

    @Test func openingUpReachesDeepNamelessAndStickyFolders() async throws {
        try await with { folder in
            let tree = folder + "/tree"
            _ = try Folder.make(tree)
            var place = open(tree, O_RDONLY | O_DIRECTORY)
            for _ in 0..<1500 {
                let name: [CChar] = [100, 101, 101, CChar(bitPattern: 0xFF), 0]
                #expect(mkdirat(place, name, 0o700) == 0)
                let next = openat(place, name, O_RDONLY | O_DIRECTORY)
                fchmod(next, 0o1700)
                close(place)
                place = next
            }
            close(openat(place, "file", O_CREAT | O_WRONLY, 0o600))
            #expect(try shim("--open-up", tree) == 0)
            var status = stat()
            #expect(fstat(place, &status) == 0 && status.st_mode & 0o7777 == 0o777)
            #expect(fstatat(place, "file", &status, 0) == 0 && status.st_mode & 0o7777 == 0o666)
            close(place)
        }
    }
}
