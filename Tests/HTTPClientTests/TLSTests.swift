import Foundation
import HTTPClient
import Synchronization
import TestServers
import Testing

@Suite("HTTP client: TLS", .timeLimit(.minutes(5)))
struct TLSTests {
    private func withCertificates(
        _ names: String, _ body: (_ folder: String, _ client: HTTPClient) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.path + "/poiesis-tls-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let client = HTTPClient()
        defer {
            client.close()
            try? FileManager.default.removeItem(atPath: folder)
        }
        try TLSServer.makeCertificates(in: folder, names: names)
        try await body(folder, client)
    }

    private func file(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

    private func error(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPError? {
        do throws(HTTPError) {
            _ = try await client.send(request)
            return nil
        } catch { return error }
    }

    @Test func onlyTheGivenAuthorityIsTrusted() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, client in
            let server = try TLSServer(folder)
            defer { server.close() }
            var request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            guard case .tls? = await error(client, request) else {
                Issue.record("the system trusts an authority of this test")
                return
            }
            request.tls.authorities = try file(folder + "/ca.pem")
            #expect(try await client.send(request).status == 200)
            request.tls.authorities = try file(folder + "/client.pem")
            guard case .tls? = await error(client, request) else {
                Issue.record("another authority was trusted, or the connection was taken again")
                return
            }
            request.tls.isUnverified = true
            #expect(try await client.send(request).status == 200)
        }
    }

    @Test func aFileThatIsNoCertificateIsAnErrorOfTLS() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, client in
            let server = try TLSServer(folder)
            defer { server.close() }
            var request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            request.tls.authorities = Array("nonsense".utf8)
            guard case .tls? = await error(client, request) else {
                Issue.record("no error of TLS")
                return
            }
            request.tls.authorities = try file(folder + "/ca.pem")
            request.tls.client = .init(
                certificate: try file(folder + "/client.pem"), key: try file(folder + "/server.key"))
            guard case .tls? = await error(client, request) else {
                Issue.record("the key of another certificate was taken")
                return
            }
        }
    }

    @Test func additionalAuthoritiesAreTrustedBesidesTheSystems() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, client in
            let server = try TLSServer(folder)
            defer { server.close() }
            let system = try #require(AdditionalAuthorities.systemFile)
            let authorities = try AdditionalAuthorities(file: folder + "/ca.pem")
            let trusting = HTTPClient(trusting: authorities)
            defer { trusting.close() }
            var request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            #expect(try await trusting.send(request).status == 200)
            guard case .tls? = await error(client, request) else {
                Issue.record("another client trusts the authority as well")
                return
            }
            // A request's own authorities are trusted alone.
            request.tls.authorities = try file(system)
            guard case .tls? = await error(trusting, request) else {
                Issue.record("the request's own authorities were not the only ones")
                return
            }
            #expect(
                String(decoding: authorities.bundle, as: UTF8.self).hasSuffix(
                    String(decoding: try file(system), as: UTF8.self)))
        }
    }

    @Test func theSystemsAuthoritiesStayTrusted() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, _ in
            let other = folder + "/other"
            try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
            try TLSServer.makeCertificates(in: other, names: "IP:127.0.0.1")
            let authorities = try AdditionalAuthorities(file: folder + "/ca.pem", system: other + "/ca.pem")
            let client = HTTPClient(trusting: authorities)
            defer { client.close() }
            for place in [folder, other] {
                let server = try TLSServer(place)
                defer { server.close() }
                #expect(try await client.send(HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")).status == 200)
            }
        }
    }

    @Test func authoritiesAreReadAnewEachMinute() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, _ in
            let other = folder + "/other"
            try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: true)
            try TLSServer.makeCertificates(in: other, names: "IP:127.0.0.1")
            let given = URL(filePath: folder + "/given.pem")
            try Data(file(folder + "/ca.pem")).write(to: given)
            let time = Mutex(ContinuousClock.now)
            let authorities = try RenewedAuthorities(file: given.path, clock: { time.withLock { $0 } })
            let client = HTTPClient(renewing: authorities)
            defer { client.close() }
            let server = try TLSServer(other)
            defer { server.close() }
            let request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            try Data(file(other + "/ca.pem")).write(to: given)
            guard case .tls? = await error(client, request) else {
                Issue.record("the file was read within a minute")
                return
            }
            time.withLock { $0 += .seconds(61) }
            #expect(try await client.send(request).status == 200)
            // While it cannot be used the last ones hold.
            try Data("half a file".utf8).write(to: given)
            time.withLock { $0 += .seconds(61) }
            #expect(try await client.send(request).status == 200)
        }
    }

    @Test func aFileOfAuthoritiesHasToHoldCertificates() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, _ in
            let whole = String(decoding: try file(folder + "/ca.pem"), as: UTF8.self)
            func problem(_ text: String?) -> String? {
                if let text { try? Data(text.utf8).write(to: URL(filePath: folder + "/given.pem")) }
                do throws(AdditionalAuthorities.Unusable) {
                    _ = try AdditionalAuthorities(file: folder + (text == nil ? "/missing.pem" : "/given.pem"))
                    return nil
                } catch { return error.description }
            }
            #expect(problem("a word before\n" + whole + whole) == nil)
            #expect(problem(nil)?.contains(folder + "/missing.pem") == true)
            #expect(problem("")?.contains("no certificate") == true)
            #expect(problem(String(decoding: try file(folder + "/server.key"), as: UTF8.self)) != nil)
            #expect(problem(String(whole.prefix(200)))?.contains("cut short") == true)
            let broken = whole.replacing(/-----BEGIN CERTIFICATE-----\s/, with: "-----BEGIN CERTIFICATE-----\n####AAAA")
            #expect(problem(whole + broken)?.contains("certificate 2") == true)
        }
    }

    @Test func anotherNameThanTheCertificatesIsRefusedUnlessItIsNamed() async throws {
        try await withCertificates("DNS:kubernetes.default") { folder, client in
            let server = try TLSServer(folder)
            defer { server.close() }
            var request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            request.tls.authorities = try file(folder + "/ca.pem")
            guard case .tls? = await error(client, request) else {
                Issue.record("127.0.0.1 is no name of the certificate")
                return
            }
            request.url = "https://kubernetes.default:6443/"
            request.connectTo = "127.0.0.1:\(server.port)"
            #expect(try await client.send(request).status == 200)
        }
    }

    @Test func aClientShowsItsCertificate() async throws {
        try await withCertificates("IP:127.0.0.1") { folder, client in
            let server = try TLSServer(folder, needsClient: true)
            defer { server.close() }
            var request = HTTPRequest("GET", "https://127.0.0.1:\(server.port)/")
            request.tls.authorities = try file(folder + "/ca.pem")
            let refused = await error(client, request)
            #expect(refused != nil)
            request.tls.client = .init(
                certificate: try file(folder + "/client.pem"), key: try file(folder + "/client.key"))
            let page = String(decoding: try await client.send(request).body, as: UTF8.self)
            #expect(page.contains(/Subject: CN ?= ?poiesis/))
        }
    }
}
