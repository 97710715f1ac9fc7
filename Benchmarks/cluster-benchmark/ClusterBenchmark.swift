import Foundation
import HTTPClient
import KubernetesAPI
import KubernetesBackend

/// Measures the Kubernetes controller beside a played API server; each is a process of its own, so that its memory and time are its own.
///
/// usage: cluster-benchmark [LIVE] [SUBMITTED]
@main
struct ClusterBenchmark {
    static func main() async throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        switch arguments.first {
        case "serve": try await PlayedCluster.serve(Int(arguments[1]) ?? 0)
        case "control":
            try await Controlling.run(arguments[1], live: Int(arguments[2]) ?? 0, waiting: Int(arguments[3]) ?? 0)
        default:
            let live = arguments.first.flatMap { Int($0) } ?? 10_000
            let submitted = arguments.dropFirst().first.flatMap { Int($0) } ?? 1000
            print("| work | measured | mark |\n|---|---|---|")
            try await measureLive(live)
            try await measureSubmission(submitted)
        }
    }

    // MARK: Many Pods

    private static func measureLive(_ count: Int) async throws {
        let cluster = try Role(["serve", "\(count)"])
        let url = try cluster.line("http")
        let controller = try Role(["control", url, "\(count)", "0"])
        let listed = try controller.line("ready ")
        let own = controller.processorTime
        row(
            "list of \(count) Jobs and Pods, and their rows compared",
            "\(listed) s, \(own) s of it the controller's processor time", "5 s")
        row("the same lists by a client that reads none of them", "\(try await bareLists(url)) s", "")
        try await Task.sleep(for: .seconds(5))
        row("resident memory then (highest)", controller.memory, "200 MB")

        // What it does anyhow, so that only the events are counted.
        let idle = controller.processorTime
        try await Task.sleep(for: .seconds(10))
        let perSecond = (controller.processorTime - idle) / 10
        row("processor time while nothing happens", "\(milliseconds(perSecond)) ms/s", "")
        let (before, start) = (controller.processorTime, ContinuousClock.now)
        cluster.tell("touch \(count)")
        _ = try cluster.line("touched")
        try await Task.sleep(for: .seconds(5))
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        let spent = controller.processorTime - before - perSecond * seconds
        row("processor time of an event of a Pod, of \(count)", "\(milliseconds(spent / Double(count))) ms", "1 ms")
        row("resident memory then (highest)", controller.memory, "200 MB")

        cluster.tell("expire")
        _ = try cluster.line("expired")
        try await Task.sleep(for: .seconds(15))
        row("resident memory after all was listed anew (highest)", controller.memory, "200 MB")
        controller.stop()
        cluster.stop()
    }

    /// What the played server and the connection take alone.
    private static func bareLists(_ url: String) async throws -> Double {
        let http = HTTPClient()
        defer { http.close() }
        let client = Controlling.client(url, http)
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for path in ["/apis/batch/v1/namespaces/poiesis/jobs", "/api/v1/namespaces/poiesis/pods"] {
                group.addTask {
                    var token: String?
                    repeat {
                        var request = APIRequest("GET", path)
                        request.query = [("limit", "250")] + (token.map { [("continue", $0)] } ?? [])
                        let body = try await client.send(request).body
                        // The list's own metadata stands before its items, or after them.
                        let ends = String(decoding: body.prefix(500) + body.suffix(500), as: UTF8.self)
                        token = ends.firstMatch(of: /"continue":"([^"]+)"/).map { String($0.1) }
                    } while token != nil
                }
            }
            try await group.waitForAll()
        }
        return ((ContinuousClock.now - start) / .milliseconds(100)).rounded() / 10
    }

    // MARK: Submission

    /// By turns, so that whatever else the machine does falls on both; the medians.
    private static func measureSubmission(_ count: Int) async throws {
        var bare: [Double] = []
        var controlled: [Double] = []
        for _ in 0..<5 {
            bare.append(try await bareRate(count))
            let cluster = try Role(["serve", "0"])
            let controller = try Role(["control", try cluster.line("http"), "0", "\(count)"])
            controlled.append(Double(count) / (Double(try controller.line("submitted ")) ?? .infinity))
            controller.stop()
            cluster.stop()
        }
        let (own, other) = (controlled.sorted()[2], bare.sorted()[2])
        row(
            "\(count) tasks submitted, beside as many bare POSTs of the same Jobs",
            "\(Int(own))/s and \(Int(other))/s: \((own / other * 100).rounded() / 100)", "0.8")
    }

    private static func bareRate(_ count: Int) async throws -> Double {
        let cluster = try Role(["serve", "0"])
        defer { cluster.stop() }
        let http = HTTPClient()
        defer { http.close() }
        let client = Controlling.client(try cluster.line("http"), http)
        let jobs = try (0..<count).map { try ManyTasks.job($0) }
        // Connections first, as a controller has them.
        for _ in 0..<20 { _ = try await client.list(Job.self) }
        let start = ContinuousClock.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, job) in jobs.enumerated() {
                if index >= 16 { try await group.next() }
                group.addTask { _ = try await client.create(job) }
            }
            try await group.waitForAll()
        }
        return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }

    private static func row(_ work: String, _ measured: String, _ mark: String) {
        print("| \(work) | \(measured) | \(mark) |")
    }

    private static func milliseconds(_ seconds: Double) -> Double { (seconds * 100_000).rounded() / 100 }
}

/// This program in another role, as a process of its own.
final class Role {
    private let process = Process()
    private let input = Pipe()
    private let output = Pipe()
    private var text = ""

    init(_ arguments: [String]) throws {
        process.executableURL = URL(filePath: "/proc/self/exe")
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    /// Waits for a line; what follows its first word, or all of it.
    func line(_ start: String) throws -> String {
        while true {
            if let end = text.firstIndex(of: "\n") {
                let line = String(text[..<end])
                text.removeSubrange(...end)
                guard line.hasPrefix(start) else { continue }
                return start.hasSuffix(" ") ? String(line.dropFirst(start.count)) : line
            }
            let bytes = output.fileHandleForReading.availableData
            guard !bytes.isEmpty else { throw CocoaError(.fileReadUnknown) }
            text += String(decoding: bytes, as: UTF8.self)
        }
    }

    func tell(_ line: String) { input.fileHandleForWriting.write(Data((line + "\n").utf8)) }

    /// Ends with its input.
    func stop() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Megabytes, now and at most.
    var memory: String {
        let status = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)) ?? ""
        func megabytes(_ name: String) -> Int {
            let line = status.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
            return (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) / 1024
        }
        return "\(megabytes("VmRSS:")) MB (\(megabytes("VmHWM:")) MB)"
    }

    /// Seconds, of user and system.
    var processorTime: Double {
        let text = (try? String(contentsOfFile: "/proc/\(process.processIdentifier)/stat", encoding: .utf8)) ?? ""
        // The name, in brackets, may hold spaces; a clock tick is a hundredth of a second.
        let fields = text.split(separator: ")").last?.split(separator: " ").compactMap { Int($0) } ?? []
        return Double(fields.dropFirst(10).prefix(2).reduce(0, +)) / 100
    }
}
