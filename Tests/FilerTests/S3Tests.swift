import Filer
import Foundation
import HTTPClient
import TES
import TaskCore
import Testing

/// What an S3 client says, against a server that answers as told.
@Suite("S3 uploads")
struct S3Tests {
    private static func response(_ body: String = "", status: Int = 200) -> [UInt8] {
        Array(
            "HTTP/1.1 \(status) Status\r\ncontent-length: \(body.utf8.count)\r\netag: x\r\nconnection: close\r\n\r\n\(body)"
                .utf8)
    }

    private static let started = "<UploadId>u</UploadId>"

    private func configuration(_ server: AnswerServer) -> FilerConfiguration {
        var configuration = FilerConfiguration()
        configuration.s3.endpoint = S3Endpoint(server.url(""))
        configuration.s3.partSize = 10
        configuration.parallelTransfers = 1
        return configuration
    }

    @Test(.timeLimit(.minutes(5)))
    func onePartIsSentAgainAlone() async throws {
        let server = AnswerServer { target, time in
            switch (target, time) {
            case ("/b/k?uploads=", _): Self.response(Self.started)
            case ("/b/k?partNumber=2&uploadId=u", 1): Self.response(status: 503)
            default: Self.response()
            }
        }
        defer { server.close() }
        try await FilerHarness.with(retries: 3, configuration: configuration(server)) { harness in
            try harness.write(harness.workspace + "/a", String(repeating: "x", count: 25))
            let report = await harness.upload(harness.output("/a", "s3://b/k"))
            #expect(report.failure == nil && report.records.count == 1)
            #expect(
                server.targets == [
                    "/b/k?uploads=", "/b/k?partNumber=1&uploadId=u", "/b/k?partNumber=2&uploadId=u",
                    "/b/k?partNumber=2&uploadId=u", "/b/k?partNumber=3&uploadId=u", "/b/k?uploadId=u",
                ])
        }
    }

    @Test(.timeLimit(.minutes(5)))
    func aCancelledUploadIsAborted() async throws {
        let server = AnswerServer { target, _ in
            if target.contains("partNumber") { usleep(300_000) }
            return Self.response(target == "/b/k?uploads=" ? Self.started : "")
        }
        defer { server.close() }
        try await FilerHarness.with(configuration: configuration(server)) { harness in
            try harness.write(harness.workspace + "/a", String(repeating: "x", count: 25))
            let upload = Task { await harness.upload(harness.output("/a", "s3://b/k")) }
            while !server.requests.contains(where: { $0.contains("partNumber=1") }) {
                try await Task.sleep(for: .milliseconds(5))
            }
            upload.cancel()
            _ = await upload.value
            #expect(server.requests.last?.hasPrefix("DELETE /b/k?uploadId=u ") == true)
        }
    }
}
