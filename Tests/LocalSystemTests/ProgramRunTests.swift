import Glibc
import LocalSystem
import Testing

@Suite("Programs that are run", .timeLimit(.minutes(5)))
struct ProgramRunTests {
    private func run(
        _ script: String, environment: [String: String] = [:], limit: Int = 1 << 20, timeout: Duration = .seconds(30),
        isCancelled: () -> Bool = { false }
    ) throws -> ProgramRun {
        try ProgramRun.run(
            "/bin/sh", ["-c", script], environment: environment, limit: limit, timeout: timeout,
            isCancelled: isCancelled)
    }

    @Test func itsStreamsAndExitCodeAreKept() throws {
        let run = try run("echo out; echo err >&2; exit 7")
        #expect(run.exitCode == 7 && run.output == Array("out\n".utf8) && run.errors == Array("err\n".utf8))
    }

    @Test func itsEnvironmentIsTheGivenOneAndItsInputEmpty() throws {
        let run = try run("cat; echo $A-$HOME", environment: ["A": "b c"])
        #expect(run.output == Array("b c-\n".utf8))
    }

    @Test func bothStreamsMayBeLong() throws {
        let run = try run("head -c 500000 /dev/zero >&2; head -c 500000 /dev/zero")
        #expect(run.output.count == 500_000 && run.errors.count == 4096)
    }

    @Test func aSignalsNumberIsAddedTo128() throws {
        #expect(try run("kill -9 $$").exitCode == 137)
    }

    @Test func aNameIsLookedUpInThePath() throws {
        #expect(try ProgramRun.run("true", [], environment: [:], timeout: .seconds(30)).exitCode == 0)
    }

    @Test func aProgramThatIsMissingIsTold() {
        #expect(throws: FileError("start", "/no/such/program", code: ENOENT)) {
            try ProgramRun.run("/no/such/program", [], environment: [:], timeout: .seconds(30))
        }
    }

    @Test func whatIsTooLongIsKilled() {
        #expect(throws: FileError("run", "/bin/sh", code: ETIMEDOUT)) {
            try run("sleep 100", timeout: .milliseconds(200))
        }
        #expect(throws: FileError("take the output of", "/bin/sh", code: EFBIG)) { try run("yes", limit: 1000) }
        #expect(throws: FileError("run", "/bin/sh", code: ECANCELED)) {
            try run("sleep 100", isCancelled: { true })
        }
    }

    @Test func whatItStartedIsKilledWithIt() throws {
        let path = "/tmp/poiesis-run-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        defer { unlink(path) }
        #expect(throws: FileError("run", "/bin/sh", code: ETIMEDOUT)) {
            try run("sleep 100 & echo $! > \(path); wait", timeout: .milliseconds(300))
        }
        let text = String(decoding: try LocalFile.reading(path).read(100), as: UTF8.self)
        let child = try #require(Int32(text.split(separator: "\n").first ?? ""))
        // Its new parent may take a moment to bury it.
        for _ in 0..<1000 where Machine.program(of: child) != nil { usleep(5000) }
        #expect(Machine.program(of: child) == nil)
    }

    @Test func noSignalIsBlockedInIt() throws {
        let run = try run("grep SigBlk /proc/self/status")
        #expect(String(decoding: run.output, as: UTF8.self).hasSuffix("0000000000000000\n"))
    }

    @Test func oneThatClosesItsStreamsAndGoesOnIsKilledToo() throws {
        let script = "exec sleep 100 >&- 2>&-"
        #expect(throws: FileError("run", "/bin/sh", code: ETIMEDOUT)) { try run(script, timeout: .milliseconds(300)) }
        let end = ContinuousClock.now + .milliseconds(300)
        #expect(throws: FileError("run", "/bin/sh", code: ECANCELED)) {
            try run(script, isCancelled: { ContinuousClock.now > end })
        }
    }
}
