import Foundation
package import Orchestrator
import Synchronization

extension DockerEngine {
    /// A registry that sends nothing for so long is given up.
    private static let stall = Duration.seconds(600)

    package func pull(_ name: String) async throws(EngineError) {
        // Without a tag the engine would pull every tag there is.
        let last = name.split(separator: "/").last ?? ""
        let reference = last.contains(":") || name.contains("@") ? name : name + ":latest"
        let login = configuration.registries.login(image: name)
        do throws(EngineError) {
            let lines = PullLines()
            try await stream(
                "POST", "/images/create", query: [("fromImage", reference)],
                headers: login.header.map { [("x-registry-auth", $0)] } ?? [], stall: Self.stall
            ) { lines.add($0) }
            // The status says only that the pull began: its end is a line of the stream.
            if let failure = lines.failure { throw .refused(failure) }
        } catch {
            switch error {
            case .unreachable: throw error
            case .busy(let reason): throw .busy(reason + login.note)
            case .missing(let reason), .refused(let reason):
                throw Self.isTransient(reason) ? .busy(reason + login.note) : .refused(reason + login.note)
            }
        }
    }

    /// Whether a registry's failure, as the engine words it, may pass.
    package static func isTransient(_ reason: String) -> Bool {
        let reason = reason.lowercased()
        let signs = [
            "toomanyrequests", "too many requests", "status: 429", "500 internal server error", "502 bad gateway",
            "503 service unavailable", "504 gateway", "timeout", "timed out", "deadline exceeded", "connection reset",
            "unexpected eof", "temporary failure",
        ]
        return signs.contains(where: reason.contains)
    }
}

/// The lines of a pull's progress, of which only one that tells a failure is kept.
final class PullLines: Sendable {
    private struct Line: Decodable {
        var error: String?
    }

    private struct State {
        var begun: [UInt8] = []
        var failure: String?
    }

    private let state = Mutex(State())

    var failure: String? {
        state.withLock { state in
            Self.read(state.begun, &state)
            state.begun = []
            return state.failure
        }
    }

    func add(_ bytes: [UInt8]) {
        state.withLock { state in
            state.begun += bytes
            while let end = state.begun.firstIndex(of: 10) {
                let line = Array(state.begun[..<end])
                state.begun.removeFirst(end + 1)
                Self.read(line, &state)
            }
            // No line of progress is so long.
            if state.begun.count > 1 << 20 { state.begun = [] }
        }
    }

    private static func read(_ line: [UInt8], _ state: inout State) {
        if line.isEmpty { return }
        state.failure = (try? JSONDecoder().decode(Line.self, from: Data(line)))?.error ?? state.failure
    }
}
