import TES

/// Tasks of every shape, the same ones for the same seed.
struct TaskGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// SplitMix64: https://prng.di.unimi.it/splitmix64.c
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    mutating func task() -> TESTask {
        TESTask(
            id: maybe { $0.text() }, state: maybe { $0.one(of: TESState.allCases) }, name: maybe { $0.text() },
            description: maybe { $0.text() }, inputs: maybe { $0.list { $0.input() } },
            outputs: maybe { $0.list { $0.output() } }, resources: maybe { $0.resources() },
            executors: list { $0.executor() }, volumes: maybe { $0.list { $0.text() } }, tags: maybe { $0.map() },
            logs: maybe { $0.list { $0.log() } }, creationTime: maybe { $0.time() })
    }

    private mutating func input() -> TESInput {
        TESInput(
            name: maybe { $0.text() }, description: maybe { $0.text() }, url: maybe { $0.text() }, path: text(),
            type: maybe { $0.fileType() }, content: maybe { $0.text() }, streamable: maybe { $0.flag() })
    }

    private mutating func output() -> TESOutput {
        TESOutput(
            name: maybe { $0.text() }, description: maybe { $0.text() }, url: text(), path: text(),
            pathPrefix: maybe { $0.text() }, type: maybe { $0.fileType() })
    }

    private mutating func resources() -> TESResources {
        TESResources(
            cpuCores: maybe { Int32.random(in: .min ... .max, using: &$0) }, preemptible: maybe { $0.flag() },
            ramGb: maybe { $0.number() }, diskGb: maybe { $0.number() }, zones: maybe { $0.list { $0.text() } },
            backendParameters: maybe { $0.map() }, backendParametersStrict: maybe { $0.flag() })
    }

    private mutating func executor() -> TESExecutor {
        TESExecutor(
            image: text(), command: list { $0.text() }, workdir: maybe { $0.text() }, stdin: maybe { $0.text() },
            stdout: maybe { $0.text() }, stderr: maybe { $0.text() }, env: maybe { $0.map() },
            ignoreError: maybe { $0.flag() })
    }

    private mutating func log() -> TESTaskLog {
        TESTaskLog(
            logs: list {
                TESExecutorLog(
                    startTime: $0.maybe { $0.time() }, endTime: $0.maybe { $0.time() }, stdout: $0.maybe { $0.text() },
                    stderr: $0.maybe { $0.text() }, exitCode: Int32.random(in: -1...255, using: &$0))
            }, metadata: maybe { $0.map() }, startTime: maybe { $0.time() }, endTime: maybe { $0.time() },
            outputs: list {
                TESOutputFileLog(
                    url: $0.text(), path: $0.text(), sizeBytes: Int64.random(in: .min ... .max, using: &$0))
            }, systemLogs: maybe { $0.list { $0.text() } })
    }

    private mutating func fileType() -> TESFileType { one(of: [.file, .directory, .unrecognized("SOCKET")]) }
    private mutating func flag() -> Bool { Bool.random(using: &self) }

    private mutating func number() -> Double {
        let exponent = Int.random(in: -20...25, using: &self)
        let value = Double.random(in: -10...10, using: &self)
        return one(of: [value, value.rounded(), value * (0..<abs(exponent)).reduce(1.0) { power, _ in power * 10 }])
    }

    /// Years 0 to 9999, in milliseconds: that is what JSON carries.
    mutating func time() -> Timestamp {
        Timestamp(microseconds: Int64.random(in: -62_167_219_200_000...253_402_300_799_999, using: &self) * 1000)
    }

    private mutating func map() -> [String: String] {
        var map: [String: String] = [:]
        for index in 0..<Int.random(in: 0...3, using: &self) { map["\(index)" + text()] = text() }
        return map
    }

    private static let scalars: [Unicode.Scalar] = [
        "a", "Z", "0", " ", "/", "\\", "\"", "\n", "\r", "\t", "\u{1}", "\u{8}", "\u{c}", "\u{1f}", "\u{7f}", "\u{e9}",
        "\u{301}", "\u{20ac}", "\u{2028}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{ffff}", "\u{1f600}", "\u{10ffff}",
        "{", "}", "[", "]", ",", ":",
    ]

    private mutating func text() -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0...8, using: &self) { text.unicodeScalars.append(one(of: Self.scalars)) }
        return text
    }

    private mutating func one<Value>(of values: [Value]) -> Value {
        values[Int.random(in: values.indices, using: &self)]
    }

    private mutating func maybe<Value>(_ make: (inout TaskGenerator) -> Value) -> Value? {
        flag() ? make(&self) : nil
    }

    private mutating func list<Value>(_ make: (inout TaskGenerator) -> Value) -> [Value] {
        var values: [Value] = []
        for _ in 0..<Int.random(in: 0...3, using: &self) { values.append(make(&self)) }
        return values
    }
}
