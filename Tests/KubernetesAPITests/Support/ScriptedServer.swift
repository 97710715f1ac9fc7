import HTTPClient
import KubernetesAPI
import Synchronization
import TestServers
import Testing

/// A server that gives one answer after the other, whatever is asked.
final class ScriptedServer: Sendable {
    enum Answer: Sendable {
        case whole(Int, type: String, String, headers: [String])
        /// A watch: lines in chunks, then a normal end, a break, or silence until the client leaves.
        case watch([String], end: End = .normal)
        /// The connection is closed without a byte.
        case nothing

        static func json(_ body: String) -> Answer { json(200, body) }
        static func json(_ status: Int, _ body: String) -> Answer {
            .whole(status, type: "application/json", body, headers: [])
        }
        static func text(_ status: Int, _ body: String, headers: [String] = []) -> Answer {
            .whole(status, type: "text/plain; charset=utf-8", body, headers: headers)
        }
    }

    enum End: Sendable { case normal, broken, silent }

    private let server: TestServer

    init(_ answers: [Answer]) {
        let left = Mutex(answers[...])
        server = TestServer { _, connection in
            let answer = left.withLock { $0.popFirst() }
            guard let answer else { return connection.answer(500, [], Array("no more answers".utf8)) }
            Self.give(answer, connection)
        }
    }

    private static func give(_ answer: Answer, _ connection: ServerConnection) {
        switch answer {
        case .whole(let status, let type, let body, let headers):
            connection.answer(status, ["Content-Type: " + type] + headers, Array(body.utf8))
        case .watch(let lines, let end):
            connection.write(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
                    + "Connection: close\r\n\r\n")
            for line in lines {
                connection.write(String(line.utf8.count + 1, radix: 16) + "\r\n" + line + "\n\r\n")
            }
            switch end {
            case .normal: connection.write("0\r\n\r\n")
            case .broken: connection.write("5\r\n{\"t")
            case .silent: connection.waitForEnd()
            }
        case .nothing: break
        }
    }

    /// What was asked so far: method and target.
    var asked: [String] { server.requests.map { $0.method + " " + $0.target } }
    var requests: [ServerRequest] { server.requests }
    var url: String { server.url("") }

    /// Runs a test against answers in their order, with short waits.
    static func with(
        _ answers: [Answer], attempts: Int = 5, configure: (inout ClusterConfiguration) throws -> Void = { _ in },
        _ body: (KubernetesClient, ScriptedServer) async throws -> Void
    ) async throws {
        let server = ScriptedServer(answers)
        let http = HTTPClient()
        defer {
            http.close()
            server.server.close()
        }
        var configuration = ClusterConfiguration(server: server.url)
        configuration.namespace = "n"
        try configure(&configuration)
        var options = KubernetesClient.Options()
        options.retry.attempts = attempts
        options.retry.firstDelay = .milliseconds(5)
        options.retry.longestDelay = .milliseconds(20)
        try await body(KubernetesClient(configuration, http: http, options: options), server)
    }
}

/// JSON of a Pod as a server would give it.
func podJSON(_ name: String, version: Int, phase: String = "Pending") -> String {
    """
    {"kind":"Pod","apiVersion":"v1","metadata":{"name":"\(name)","namespace":"n","uid":"u-\(name)","resourceVersion":"\(version)"},\
    "spec":{"containers":[{"name":"ack","image":"i"}]},"status":{"phase":"\(phase)"}}
    """
}

func eventJSON(_ type: String, _ object: String) -> String { #"{"type":"\#(type)","object":\#(object)}"# }

func bookmarkJSON(_ version: Int) -> String {
    eventJSON(
        "BOOKMARK",
        #"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"\#(version)"},"spec":{"containers":null},"status":{}}"#
    )
}

func listJSON(_ names: [String], version: Int, next: String? = nil) -> String {
    let items = names.map { podJSON($0, version: version) }.joined(separator: ",")
    let more = next.map { #","continue":"\#($0)","remainingItemCount":7"# } ?? ""
    return
        #"{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"\#(version)"\#(more)},"items":[\#(items)]}"#
}

func statusJSON(_ code: Int, _ reason: String, _ message: String = "because") -> String {
    #"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"\#(message)","reason":"\#(reason)","code":\#(code)}"#
}
