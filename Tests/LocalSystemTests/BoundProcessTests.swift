import Glibc
import LocalSystem
import Testing

@Suite("Bound process")
struct BoundProcessTests {
    private func start(_ script: String, log: String, folder: String = "/") throws -> BoundProcess {
        try BoundProcess("/bin/sh", ["-c", script], user: nil, folder: folder, log: log)
    }

    @Test(arguments: [("exit 0", Int32(0)), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
    func waitsForTheCode(_ script: String, _ code: Int32) throws {
        try withScratchFolder { _, path in
            let process = try start(script, log: path + "/log")
            #expect(process.wait() == code && !process.isRunning)
            #expect(process.wait() == code)
        }
    }

    @Test func appendsBothStreamsToTheLog() throws {
        try withScratchFolder { folder, path in
            try folder.write("log", Array("before\n".utf8))
            #expect(try start("echo out; echo err >&2; pwd", log: path + "/log", folder: path).wait() == 0)
            let log = String(decoding: try folder.read("log", limit: 1000) ?? [], as: UTF8.self)
            #expect(log == "before\nout\nerr\n\(try resolvedPath(path))\n")
        }
    }

    @Test func stopAsksFirst() throws {
        try withScratchFolder { folder, path in
            let process = try start(
                "trap 'echo asked; exit 5' INT; echo ready; while :; do sleep 0.01; done", log: path + "/log")
            let deadline = Machine.clock() + 30_000_000
            while try folder.read("log", limit: 6) != Array("ready\n".utf8), Machine.clock() < deadline { usleep(1000) }
            #expect(process.isRunning)
            process.stop()
            #expect(process.wait() == 5)
            #expect(try folder.read("log", limit: 100) == Array("ready\nasked\n".utf8))
            process.stop()
        }
    }

    @Test(arguments: ["/no/such/program", "/etc/passwd", "/etc"])
    func whatCannotBeStartedIsToldAtOnce(_ program: String) throws {
        try withScratchFolder { _, path in
            #expect(throws: FileError.self) {
                try BoundProcess(program, [], user: nil, folder: "/", log: path + "/log")
            }
        }
    }

    @Test func aMissingFolderOrLogIsToldAtOnce() throws {
        try withScratchFolder { _, path in
            #expect(throws: FileError.self) { try start("true", log: path + "/log", folder: path + "/none") }
            #expect(throws: FileError.self) { try start("true", log: path + "/none/log") }
        }
    }

    @Test func childrenKeepNoneOfOurFiles() throws {
        try withScratchFolder { folder, path in
            let file = try folder.createFile("held")
            #expect(try start("ls -l /proc/self/fd", log: path + "/log").wait() == 0)
            let open = String(decoding: try folder.read("log", limit: 10_000) ?? [], as: UTF8.self)
            #expect(open.contains("/log") && !open.contains("/held") && file.path == path + "/held")
        }
    }

    @Test(.enabled(if: Machine.isRoot, "only root can become another user"))
    func runsAsAnotherUser() throws {
        let nobody = try #require(Machine.user("nobody"))
        try withScratchFolder { folder, path in
            let process = try BoundProcess(
                "/bin/sh", ["-c", "id -u; id -g; id -G"], user: nobody, folder: "/", log: path + "/log")
            #expect(process.wait() == 0)
            let log = String(decoding: try folder.read("log", limit: 100) ?? [], as: UTF8.self)
            #expect(log == "\(nobody.id)\n\(nobody.group)\n\(nobody.group)\n")
        }
    }
}

@Suite("Machine")
struct MachineTests {
    @Test func knowsItsFacts() {
        #expect(!Machine.hostName.isEmpty && Machine.isRoot == (geteuid() == 0))
        #expect(Machine.user("root")?.id == 0 && Machine.user("no such user") == nil)
        #expect(Machine.program(of: getpid()) == Machine.programPath && Machine.program(of: -1) == nil)
        let (first, second) = (Machine.clock(), Machine.clock())
        #expect(first <= second && first > 1_600_000_000_000_000)
    }
}
