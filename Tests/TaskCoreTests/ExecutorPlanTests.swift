import TES
import TaskCore
import Testing

@Suite("Executor plan and result files")
struct ExecutorPlanTests {
    static let texts = [
        "", "plain", "two\nlines\n", "argument 3\nabc\n", "é漢😀\u{301}", " spaces ", "=", "a=b=c", "\u{1}\t\r\n",
        "\\\"'$x",
    ]

    static var fullPlan: ExecutorPlan {
        var plan = ExecutorPlan(arguments: texts)
        plan.environment = ["A": "", "B": "x=y", "NEWLINE": "a\nb", "É": "漢"]
        plan.workingDirectory = "/work dir"
        plan.stdin = "/in\n"
        plan.stdout = "/out"
        plan.stderr = ""
        plan.carried = carried(["/root/a", "/root/*.txt"])
        plan.grace = 25
        plan.walltime = 86_400
        plan.captureLimit = 4096
        return plan
    }

    private static func carried(_ paths: [String]) -> [MountPlan.Carried] {
        let outputs = paths.map { TESOutput(url: "file:///o", path: $0, pathPrefix: "/root", type: .file) }
        return MountPlan(TESTask(outputs: outputs)).carried
    }

    static var fullResult: ExecutorResult {
        var result = ExecutorResult(exitCode: 137, startTime: 1_700_000_000_000_001, endTime: 1_700_000_000_500_002)
        result.cpuTime = 12
        result.peakMemory = 1 << 40
        result.isOutOfMemory = true
        result.isOverWalltime = true
        result.stopSignal = 15
        result.reason = "why\nnot"
        result.failure = ""
        result.warnings = ["one", "two\n", ""]
        return result
    }

    @Test(arguments: texts)
    func anyTextSurvivesInEveryPlace(_ text: String) {
        var plan = ExecutorPlan(arguments: ["p", text])
        plan.environment = ["NAME": text]
        plan.workingDirectory = text
        plan.stdin = text
        plan.carried = Self.carried(["/root/*\(text)"])
        #expect(ExecutorPlan(encoded: plan.encoded) == plan)
        var result = ExecutorResult(exitCode: 0, startTime: 1, endTime: 2)
        result.reason = text
        result.warnings = [text]
        #expect(ExecutorResult(encoded: result.encoded) == result)
    }

    @Test func wholePlansAndResultsSurvive() {
        #expect(ExecutorPlan(encoded: Self.fullPlan.encoded) == Self.fullPlan)
        #expect(ExecutorResult(encoded: Self.fullResult.encoded) == Self.fullResult)
        let least = ExecutorPlan(arguments: ["true"])
        #expect(ExecutorPlan(encoded: least.encoded) == least)
    }

    /// A task can write its result itself, and the times of a hundred executors are added.
    @Test func aResultCannotOverflow() throws {
        var written = ExecutorResult(exitCode: 0, startTime: 1, endTime: 2)
        written.cpuTime = .max
        let read = try #require(ExecutorResult(encoded: written.encoded))
        #expect(read.cpuTime > 0 && read.cpuTime < .max / 1000)
    }

    @Test func largeArgumentsSurvive() {
        let plan = ExecutorPlan(arguments: ["echo", String(repeating: "x", count: 200_000)])
        #expect(ExecutorPlan(encoded: plan.encoded) == plan)
    }

    @Test func filerPlansAndResultsSurvive() {
        var task = TESTask(name: "é\n", executors: [TESExecutor(image: "i", command: Self.texts)])
        task.outputs = [TESOutput(url: "s3://b/o", path: "/o")]
        let plan = FilerPlan(principal: Principal(owner: "al ice"), task: task)
        #expect(FilerPlan(encoded: plan.encoded) == plan)
        #expect(FilerPlan(encoded: Array(plan.encoded.dropLast(2))) == nil)
        var result = FilerResult(failure: CauseSummary(.hostLost(reason: "two\nlines")))
        let log = TESOutputFileLog(url: "s3://b/o", path: "/o", sizeBytes: 1 << 40)
        result.records = [OutputRecord(log: log, checksum: "sha256:1"), OutputRecord(log: log, checksum: "")]
        result.lines = Self.texts
        result.missing = [.init(position: 3, path: "/a b\n")]
        #expect(FilerResult(encoded: result.encoded) == result)
        #expect(FilerResult(encoded: FilerResult().encoded) == FilerResult())
        #expect(FilerResult(encoded: []) == nil && FilerResult(encoded: Array(result.encoded.dropLast(6))) == nil)
    }

    @Test func aPlanIsTheSameBytesEachTime() {
        #expect(Self.fullPlan.encoded == Self.fullPlan.encoded)
    }

    @Test func noTruncatedPlanIsRead() {
        let bytes = Self.fullPlan.encoded
        for length in bytes.indices {
            #expect(ExecutorPlan(encoded: Array(bytes[..<length])) == nil, "cut to \(length) of \(bytes.count) bytes")
        }
    }

    @Test func aTruncatedResultIsRefusedOrHasItsCodeAndTimes() {
        let bytes = Self.fullResult.encoded
        for length in bytes.indices {
            guard let read = ExecutorResult(encoded: Array(bytes[..<length])) else { continue }
            #expect(
                read.exitCode == 137 && read.startTime == 1_700_000_000_000_001 && read.endTime == 1_700_000_000_500_002
            )
        }
        #expect(ExecutorResult(encoded: Array(bytes.prefix(20))) == nil)
    }

    @Test(arguments: [
        "", "\n", "argument", "argument\n", "argument 1", "argument 1\n", "argument -1\n\n", "argument 2\na\n",
        "argument 1\nab",
        "argument 99999999999999999999\na\n", "argument 9223372036854775807\na\n", "argument x\na\n",
        "argument 1 1\na\n",
        "unknown 1\na\n", "argument 1\na\ncapture 1\nx\n", "argument 1\na\ncapture 1\n0\n", "capture 2\n16\n",
    ])
    func damagedPlansAreRefused(_ text: String) {
        #expect(ExecutorPlan(encoded: Array(text.utf8)) == nil)
    }

    private static func result(_ fields: [(String, String)]) -> [UInt8] {
        Array(fields.map { "\($0.0) \($0.1.utf8.count)\n\($0.1)\n" }.joined().utf8)
    }

    static let damagedResults: [[(String, String)]] = [
        [], [("exit-code", "0")], [("exit-code", "0"), ("start", "1")], [("start", "1"), ("end", "2")],
        [("exit-code", "256"), ("start", "1"), ("end", "2")], [("exit-code", "-1"), ("start", "1"), ("end", "2")],
        [("exit-code", "one"), ("start", "1"), ("end", "2")], [("exit-code", "0"), ("start", "x"), ("end", "2")],
        [("exit-code", "0"), ("start", "1"), ("end", "99999999999999999999")],
        [("exit-code", "0"), ("start", "1"), ("end", "2"), ("surprise", "")],
    ]

    @Test(arguments: damagedResults.indices)
    func damagedResultsAreRefused(_ index: Int) {
        #expect(ExecutorResult(encoded: Self.result(Self.damagedResults[index])) == nil)
    }

    @Test func hostileResultsStayWithinBounds() throws {
        let warnings = (0..<1000).map { ("warning", "\($0)") }
        let numbers = [
            ("exit-code", "255"), ("start", "1"), ("end", "2"), ("cpu", "-5"), ("peak-memory", "-9"),
            ("stop-signal", "x"),
        ]
        let read = try #require(ExecutorResult(encoded: Self.result(numbers + warnings)))
        #expect(read.exitCode == 255 && read.cpuTime == 0 && read.peakMemory == 0 && read.stopSignal == nil)
        #expect(read.warnings.count == 20)
    }

    @Test func invalidUTF8InAResultIsRepaired() throws {
        var bytes = Self.result([("exit-code", "0"), ("start", "1"), ("end", "2")])
        bytes += Array("reason 2\n".utf8) + [0xFF, 0xFE] + [10]
        #expect(try #require(ExecutorResult(encoded: bytes)).reason == "\u{FFFD}\u{FFFD}")
    }

    /// Any byte of a file replaced by any of a few others: read or refused, never a crash, and numbers stay in range.
    @Test(arguments: [UInt8(0), 10, 32, 45, 48, 57, 0xFF])
    func changedBytesNeverCrash(_ replacement: UInt8) {
        let plan = Self.fullPlan.encoded
        for index in plan.indices {
            var bytes = plan
            bytes[index] = replacement
            if let read = ExecutorPlan(encoded: bytes) { #expect(!read.arguments.isEmpty && read.captureLimit > 0) }
        }
        let result = Self.fullResult.encoded
        for index in result.indices {
            var bytes = result
            bytes[index] = replacement
            if let read = ExecutorResult(encoded: bytes) { #expect((0...255).contains(read.exitCode)) }
        }
    }

    /// More than the server reads would be no result at all.
    @Test func whatAProgramMadeLongIsCut() throws {
        var result = ExecutorResult(exitCode: 1, startTime: 0, endTime: 0)
        result.reason = String(repeating: "é", count: 1 << 20)
        result.warnings = (0..<10_000).map { "\($0) " + String(repeating: "x", count: 10_000) }
        #expect(result.encoded.count < 1 << 20)
        let read = try #require(ExecutorResult(encoded: result.encoded))
        #expect(read.warnings.count == 20 && read.warnings[0].hasPrefix("0 x"))
    }
}
