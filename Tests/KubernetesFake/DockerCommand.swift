import Foundation
import Synchronization

/// The `docker` command, on one engine.
struct DockerCommand: Sendable {
    struct Outcome: Sendable {
        var status: Int32
        var output: [UInt8]
        var error: String

        var text: String { String(decoding: output, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines) }
    }

    /// `unix://SOCKET`.
    let host: String

    /// Where the command is, nil if it is not installed.
    static let path: String? = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { $0 + "/docker" }.first(where: FileManager.default.isExecutableFile)

    private func process(_ arguments: [String]) -> Process {
        let process = Process()
        process.executableURL = URL(filePath: Self.path ?? "/usr/bin/docker")
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["DOCKER_HOST": host]) { $1 }
        process.standardInput = FileHandle.nullDevice
        return process
    }

    /// Runs a command to its end, on the calling thread.
    func runBlocking(_ arguments: [String]) -> Outcome {
        let process = process(arguments)
        let output = Pipe()
        let error = Pipe()
        process.standardOutput = output
        process.standardError = error
        do { try process.run() } catch { return Outcome(status: 127, output: [], error: "\(error)") }
        let text = Mutex("")
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            let data = error.fileHandleForReading.readDataToEndOfFile()
            text.withLock { $0 = String(decoding: data, as: UTF8.self) }
            done.signal()
        }
        let data = output.fileHandleForReading.readDataToEndOfFile()
        done.wait()
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: Array(data), error: text.withLock { $0 })
    }

    /// Runs a command to its end.
    func run(_ arguments: [String]) async -> Outcome {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: runBlocking(arguments)) }
        }
    }

    /// The lines of a command's output and error output, as they come.
    func lines(_ arguments: [String]) -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        let process = process(arguments)
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        guard (try? process.run()) != nil else {
            continuation.finish()
            return stream
        }
        let id = process.processIdentifier
        continuation.onTermination = { reason in
            if case .cancelled = reason { kill(id, SIGTERM) }
        }
        Thread.detachNewThread {
            var rest: [UInt8] = []
            while true {
                let data = pipe.fileHandleForReading.availableData
                if data.isEmpty { break }
                rest += data
                while let end = rest.firstIndex(of: 10) {
                    continuation.yield(Array(rest[...end]))
                    rest.removeFirst(end + 1)
                }
            }
            if !rest.isEmpty { continuation.yield(rest) }
            process.waitUntilExit()
            continuation.finish()
        }
        return stream
    }
}
