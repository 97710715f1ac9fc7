import CLibCurl
import Foundation

/// Certificates of authorities that are trusted besides the system's.
///
/// The system's are those of the file that libcurl was built with, `/etc/ssl/certs/ca-certificates.crt` on Debian and Ubuntu
/// (https://curl.se/libcurl/c/curl_version_info.html, `cainfo`), and those of its folder.
package struct AdditionalAuthorities: Hashable, Sendable {
    /// PEM: the additional ones, then the system's. To be given to libcurl, which takes one list only.
    package let bundle: [UInt8]
    /// Whether the system's could be read.
    let hasSystem: Bool

    /// Why a file's certificates cannot be trusted.
    package struct Unusable: Error, CustomStringConvertible {
        package let description: String
    }

    /// Reads both files; later changes of them are not seen.
    ///
    /// - Parameters:
    ///   - file: the path of a file with certificates in PEM; what else it holds is left out.
    ///   - system: the path of the system's own.
    package init(file: String, system: String? = systemFile) throws(Unusable) {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw Unusable(description: "the file of certificates \(file) cannot be read")
        }
        let certificates = try Self.certificates(String(decoding: data, as: UTF8.self), file)
        let system = system.flatMap { FileManager.default.contents(atPath: $0) }
        hasSystem = system != nil
        bundle = Array((certificates.joined(separator: "\n") + "\n").utf8) + (system ?? Data())
    }

    /// The file of the system's authorities; nil where libcurl was built without.
    package static var systemFile: String? {
        curl_version_info(CURLVERSION_SEVENTH).pointee.cainfo.map { String(cString: $0) }
    }

    /// Whether bytes are one DER sequence with the length that it says of itself.
    private static func isWhole(_ der: Data) -> Bool {
        guard der.count > 4, der.first == 0x30 else { return false }
        let first = Int(der[der.startIndex + 1])
        if first < 0x80 { return der.count == 2 + first }
        let count = first - 0x80
        guard (1...4).contains(count), der.count > 2 + count else { return false }
        return der.dropFirst(2).prefix(count).reduce(0) { $0 << 8 | Int($1) } == der.count - 2 - count
    }

    private static func certificates(_ text: String, _ file: String) throws(Unusable) -> [String] {
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----")
        var found: [String] = []
        var rest = text[...]
        while let start = rest.firstRange(of: begin) {
            let place = "certificate \(found.count + 1) in \(file)"
            guard let stop = rest[start.upperBound...].firstRange(of: end) else {
                throw Unusable(description: "\(place) has no end: the file was cut short")
            }
            let der = Data(
                base64Encoded: String(rest[start.upperBound..<stop.lowerBound]), options: .ignoreUnknownCharacters)
            // A certificate is a DER sequence: RFC 5280, section 4.1.
            guard let der, Self.isWhole(der) else {
                throw Unusable(description: "\(place) is none, or not whole: write it in PEM, as openssl x509 does")
            }
            // Written anew: OpenSSL is stricter with spaces and line ends, and then takes none of all.
            found.append("\(begin)\n\(der.base64EncodedString(options: .lineLength64Characters))\n\(end)")
            rest = rest[stop.upperBound...]
        }
        if found.isEmpty {
            throw Unusable(description: "\(file) holds no certificate in PEM (\(begin))")
        }
        return found
    }
}
