import Foundation
import TES

/// Measures the generated JSON coding beside Foundation's coders on a FULL page of 256 tasks, in one run.
@main
struct JSONBenchmark {
    static func main() throws {
        let page = TESListTasksResponse(tasks: (0..<256).map(task), nextPageToken: "next")
        let bytes = JSONWriter.encode(page)
        let data = Data(bytes)
        let encoder = JSONEncoder()
        let decoder = JSONDecoder()
        var reader = JSONReader(bytes, purpose: .answer)
        guard try reader.document(TESListTasksResponse.self) == page,
            try decoder.decode(TESListTasksResponse.self, from: data) == page
        else { return print("the two do not read the same page") }
        // For a profiler: the generated code alone, many times.
        if CommandLine.arguments.contains("--profile") {
            for _ in 0..<300 {
                if CommandLine.arguments.contains("write") {
                    _ = JSONWriter.encode(page)
                    continue
                }
                var reader = JSONReader(bytes, purpose: .answer)
                _ = try reader.document(TESListTasksResponse.self)
            }
            return
        }
        print("a FULL page of 256 tasks, \(bytes.count / 1024) KiB\n")
        print("| work | generated | Foundation | times as fast |\n|---|---|---|---|")
        let (write, encode) = try compare(
            { JSONWriter.encode(page).count }, { try encoder.encode(page).count })
        row("write", write, encode)
        let (read, decode) = try compare(
            {
                var reader = JSONReader(bytes, purpose: .answer)
                return try reader.document(TESListTasksResponse.self)?.tasks.count ?? 0
            }, { try decoder.decode(TESListTasksResponse.self, from: data).tasks.count })
        row("read", read, decode)
    }

    private static func row(_ name: String, _ own: Double, _ other: Double) {
        print(
            "| \(name) | \(milliseconds(own)) ms | \(milliseconds(other)) ms | \((other / own * 10).rounded() / 10) |")
    }

    private static func milliseconds(_ seconds: Double) -> Double { (seconds * 100_000).rounded() / 100 }

    /// The two by turns, so that whatever else the machine does falls on both; the median of each.
    private static func compare(_ own: () throws -> Int, _ other: () throws -> Int) throws -> (Double, Double) {
        var times: ([Double], [Double]) = ([], [])
        for _ in 0..<15 {
            times.0.append(try time(own))
            times.1.append(try time(other))
        }
        return (times.0.sorted()[7], times.1.sorted()[7])
    }

    private static func time(_ body: () throws -> Int) throws -> Double {
        let start = ContinuousClock.now
        let count = try body()
        precondition(count > 0)
        return start.duration(to: .now) / .seconds(1)
    }

    /// As workflow managers send and read them: a few inputs and outputs, two executors, logs with some text.
    private static func task(_ index: Int) -> TESTask {
        let time = Timestamp(microseconds: 1_790_000_000_000_000 + Int64(index) * 1_000_000)
        let text = String(repeating: "[12:00:00] processed 1,000,000 reads \"sample-\(index)\"\n", count: 12)
        var executor = TESExecutor(
            image: "quay.io/biocontainers/samtools:1.19", command: ["samtools", "sort", "-o", "/data/out.bam"])
        executor.workdir = "/data"
        executor.env = ["HOME": "/data", "SAMPLE": "sample-\(index)"]
        var log = TESTaskLog(startTime: time, endTime: time)
        log.metadata = ["host": "node-17", "backend": "container"]
        log.logs = (0..<2).map { _ in
            TESExecutorLog(startTime: time, endTime: time, stdout: text, stderr: "warning: naïve é 漢\n", exitCode: 0)
        }
        log.outputs = [TESOutputFileLog(url: "s3://bucket/out.bam", path: "/data/out.bam", sizeBytes: 1 << 33)]
        log.systemLogs = ["output 1 does not exist and was not uploaded"]
        return TESTask(
            id: "0190d3f2-0000-7000-8000-00000000\(1000 + index)", state: .complete, name: "sort sample \(index)",
            description: "sorts an alignment",
            inputs: (0..<3).map { number in
                TESInput(
                    name: "reads", url: "s3://bucket/sample-\(index)/part-\(number).bam",
                    path: "/data/part-\(number).bam", type: .file)
            },
            outputs: (0..<2).map { number in
                TESOutput(
                    url: "s3://bucket/sample-\(index)/out-\(number).bam", path: "/data/out-\(number).bam", type: .file)
            },
            resources: TESResources(cpuCores: 4, ramGb: 7.5, diskGb: 100),
            executors: [executor, executor], volumes: ["/scratch"],
            tags: ["project": "demo", "sample": "sample-\(index)", "user": "someone", "workflow": "sort"],
            logs: [log], creationTime: time)
    }
}
