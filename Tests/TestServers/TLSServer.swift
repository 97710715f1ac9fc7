import Foundation
import Glibc

/// An HTTPS server of openssl in a process of its own, and certificates for it: what libcurl does with TLS is seen against another
/// implementation's server program.
///
/// It answers every GET with status 200 and a page that names the client's certificate, if there was one.
package final class TLSServer: Sendable {
    private let process: Process
    /// The port on the loopback, for IPv4.
    package let port: Int

    /// - Parameters:
    ///   - folder: a folder of ``makeCertificates(in:names:)``.
    ///   - needsClient: refuse clients that bring no certificate of the authority.
    package init(_ folder: String, needsClient: Bool = false) throws {
        process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        var arguments = [
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", folder + "/server.pem", "-key",
            folder + "/server.key", "-CAfile", folder + "/ca.pem", "-naccept", "20",
        ]
        if needsClient { arguments += ["-Verify", "2", "-verify_return_error"] }
        process.arguments = arguments
        let output = Pipe()
        process.standardInput = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        var text = ""
        while !text.contains(/ACCEPT 127\.0\.0\.1:\d+\n/) {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw Unusable(message: "openssl s_server ended: \(text)") }
            text += String(decoding: more, as: UTF8.self)
        }
        port = text.firstMatch(of: /ACCEPT 127\.0\.0\.1:(\d+)\n/).flatMap { Int($0.1) } ?? 0
    }

    /// Why there is no server or certificate.
    package struct Unusable: Error { package var message: String }

    /// Ends the server.
    package func close() {
        // Threads of Swift block SIGTERM, and their children do so, too.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Makes an authority (`ca.pem`), a server's certificate (`server.pem`, `.key`) for names such as `DNS:localhost` and a client's
    /// (`client.pem`, `.key`) for `CN=poiesis`.
    package static func makeCertificates(in folder: String, names: String) throws {
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
        let authority = ["-CA", folder + "/ca.pem", "-CAkey", folder + "/ca.key"]
        func certificate(_ name: String, _ subject: String, _ more: [String]) throws {
            try openssl(
                ["req", "-x509"] + key + ["-subj", subject, "-keyout", "\(folder)/\(name).key"]
                    + ["-out", "\(folder)/\(name).pem"] + more)
        }
        try certificate("ca", "/CN=authority", ["-addext", "keyUsage=keyCertSign"])
        try certificate("server", "/CN=server", authority + ["-addext", "subjectAltName=" + names])
        try certificate("client", "/CN=poiesis", authority)
    }

    private static func openssl(_ arguments: [String]) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        let errors = Pipe()
        process.standardError = errors
        try process.run()
        let text = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Unusable(message: text) }
    }
}
