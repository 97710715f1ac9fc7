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

    @Test(.timeLimit(.minutes(1)))
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
