import Foundation
import HTTPClient
import KubernetesAPI
import Synchronization
import TestServers
import Testing

/// One HTTP exchange of a real cluster, as it went over the wire.
struct RecordedExchange {
    var name: String
    var method: String
    var path: String
    /// Names and values, decoded, in the order of the names.
    var query: [String]
    /// Names in lower case.
    var headers: [String: String]
    var body: [UInt8]
    /// Status line, headers and body.
    var response: [UInt8]

    /// Recordings lie beside the clone, on machines that have them.
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "shared/reference/kubernetes")

    static var isThere: Bool { FileManager.default.fileExists(atPath: folder.appending(path: "protocol").path) }

    static var names: [String] {
        let files = try? FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "protocol").path)
        return (files ?? []).filter { $0.hasSuffix(".request.http") }
            .map { String($0.dropLast(".request.http".count)) }.sorted()
    }

    init(_ name: String) throws {
        self.name = name
        let file = Self.folder.appending(path: "protocol/\(name)")
        let request = Array(try Data(contentsOf: file.appendingPathExtension("request.http")))
        response = Array(try Data(contentsOf: file.appendingPathExtension("response.http")))
        let end = try #require(
            request.indices.dropLast(3).first { request[$0..<$0 + 4].elementsEqual([13, 10, 13, 10]) })
        let lines = String(decoding: request[..<end], as: UTF8.self).components(separatedBy: "\r\n")
        let first = lines[0].split(separator: " ").map(String.init)
        method = first[0]
        (path, query) = Self.split(first[1])
        headers = Dictionary(
            lines.dropFirst().compactMap { line in
                line.firstRange(of: ": ").map { (line[..<$0.lowerBound].lowercased(), String(line[$0.upperBound...])) }
            }, uniquingKeysWith: { first, _ in first })
        body = Array(request[(end + 4)...])
    }

    static func split(_ target: String) -> (path: String, query: [String]) {
        let halves = target.split(separator: "?", maxSplits: 1).map(String.init)
        let pairs = halves.dropFirst().first?.split(separator: "&") ?? []
        return (halves[0], pairs.map { $0.removingPercentEncoding ?? String($0) }.sorted())
    }

    /// The value of a parameter of the query.
    func parameter(_ name: String) -> String? {
        query.first { $0.hasPrefix(name + "=") }.map { String($0.dropFirst(name.count + 1)) }
    }

    /// Replays the answer to what `body` asks for, and compares that with what was recorded.
    func replay(_ body: (KubernetesClient, RecordedExchange) async throws -> Void) async throws {
        let response = response
        try await TestServer.with { _, connection in
            connection.write(response)
        } _: { server in
            let http = HTTPClient()
            defer { http.close() }
            var configuration = ClusterConfiguration(server: server.url(""))
            configuration.namespace = "poiesis"
            if headers["authorization"] != nil { configuration.login.token = .bytes(Array("TOKEN".utf8)) }
            var options = KubernetesClient.Options()
            options.retry = .none
            try await body(KubernetesClient(configuration, http: http, options: options), self)
            #expect(server.requests.count == 1)
            compare(with: try #require(server.requests.first))
        }
    }

    private func compare(with sent: ServerRequest) {
        let (path, query) = Self.split(sent.target)
        #expect(sent.method == method)
        #expect(path == self.path)
        #expect(query == self.query)
        for header in ["accept", "content-type", "authorization", "user-agent"] {
            #expect(sent.header(header) == headers[header], "\(header)")
        }
        if let wanted = Self.json(body) {
            #expect(Self.json(sent.body) == wanted)
        } else {
            #expect(sent.body == body)
        }
    }

    /// A document in a form that compares; without `managedFields`, which no client has to send. Nil where it is none.
    static func json(_ bytes: [UInt8]) -> NSObject? {
        let value = try? JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        guard var object = value as? [String: Any] else { return value as? NSObject }
        if var metadata = object["metadata"] as? [String: Any] {
            metadata["managedFields"] = nil
            object["metadata"] = metadata
        }
        return object as NSObject
    }
}

/// The refusal that a request ends with.
func refusal(_ body: () async throws -> Void) async -> Refusal? {
    do {
        try await body()
        Issue.record("it was not refused")
    } catch let error as KubernetesError {
        if let refusal = error.refusal { return refusal }
        Issue.record("\(error)")
    } catch { Issue.record("\(error)") }
    return nil
}
