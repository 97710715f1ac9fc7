import Foundation
import HTTPClient
import Testing

/// The signer against botocore's: make-vectors.py wrote the vectors.
@Suite("AWS Signature Version 4")
struct SigV4Tests {
    struct Vector: Decodable, Sendable, CustomTestStringConvertible {
        var name: String
        var method: String
        var key: String
        var query: [[String]]
        var headers: [[String]]
        var body: String
        var hashed: Bool
        var region: String
        var token: String?
        var host: String
        var time: String
        var access: String
        var secret: String
        var path: String
        var canonicalQuery: String
        var payloadHash: String
        var authorization: String

        var testDescription: String { name }
        var pairs: [(name: String, value: String)] { query.map { (name: $0[0], value: $0[1]) } }
    }

    static let vectors: [Vector] = {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "vectors.json")
        do { return try JSONDecoder().decode([Vector].self, from: Data(contentsOf: file)) } catch {
            Issue.record("vectors.json cannot be read: \(error)")
            return []
        }
    }()

    @Test func thereAreVectors() { #expect(Self.vectors.count >= 20) }

    @Test(arguments: vectors)
    func signsAsBotocoreDoes(_ vector: Vector) {
        let credentials = AWSCredentials(accessKey: vector.access, secretKey: vector.secret, sessionToken: vector.token)
        let hash = vector.hashed ? SigV4.hash(Array(vector.body.utf8)) : SigV4.unsignedPayload
        #expect(hash == vector.payloadHash)
        let added = SigV4(credentials: credentials, region: vector.region).headers(
            method: vector.method, path: vector.path, query: vector.pairs,
            headers: [(name: "host", value: vector.host)] + vector.headers.map { (name: $0[0], value: $0[1]) },
            payloadHash: hash, time: vector.time)
        func header(_ name: String) -> String? { added.first { $0.name == name }?.value }
        #expect(header("authorization") == vector.authorization)
        #expect(header("x-amz-date") == vector.time)
        #expect(header("x-amz-content-sha256") == vector.payloadHash)
        #expect(header("x-amz-security-token") == vector.token)
    }

    @Test(arguments: vectors)
    func encodesAsBotocoreDoes(_ vector: Vector) {
        #expect(SigV4.awsEncoded(vector.key, keepingSlashes: true) == vector.path)
        #expect(SigV4.canonicalQuery(vector.pairs) == vector.canonicalQuery)
    }

    @Test func theHashOfNothingIsTheConstant() {
        #expect(SigV4.hash([]) == SigV4.emptyHash)
        #expect(SigV4.hexadecimal([0, 0x0F, 0xF0, 0xFF] as [UInt8]) == "000ff0ff")
    }

    @Test func secretsAreInNoHeader() {
        let credentials = AWSCredentials(accessKey: "access", secretKey: "very-secret")
        let added = SigV4(credentials: credentials, region: "r").headers(
            method: "GET", path: "/", query: [], headers: [(name: "host", value: "h")], payloadHash: SigV4.emptyHash,
            time: "20260131T120000Z")
        #expect(!added.contains { $0.value.contains("very-secret") })
    }
}
