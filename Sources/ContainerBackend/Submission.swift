import Crypto
import Foundation
import HTTPClient
import LocalSystem
package import Orchestrator

extension DockerEngine {
    // MARK: Images

    private struct Image: Decodable {
        struct Config: Decodable { var entrypoint: [String]? }
        var id: String
        var repoDigests: [String]?
        var config: Config?
    }

    package func image(_ name: String) async throws(EngineError) -> ImageFacts? {
        let response = try await ask("GET", "/images/\(Self.escaped(name))/json", accepted: [404])
        if response.status == 404 { return nil }
        let image = try Self.decode(Image.self, response)
        let digest = image.repoDigests?.first.flatMap { $0.split(separator: "@").last.map(String.init) } ?? image.id
        return ImageFacts(digest: digest, entrypoint: image.config?.entrypoint ?? [])
    }

    /// Slashes and colons belong to image names; anything else that a path cannot hold is escaped.
    private static func escaped(_ name: String) -> String {
        name.addingPercentEncoding(
            withAllowedCharacters: CharacterSet.alphanumerics.union(CharacterSet(charactersIn: "-._~/:@"))) ?? name
    }

    /// An image of the shim alone, imported as a tar archive: no registry is asked, and no user's image is relied on.
    package func helperImage(shim: String) async throws(EngineError) -> String {
        let program: LocalFile
        var hash = SHA256()
        do throws(FileError) {
            program = try LocalFile.reading(shim)
            try program.forEachPiece { (piece: [UInt8]) throws(FileError) in hash.update(data: piece) }
        } catch { throw .refused("the shim cannot be read: \(error)") }
        let digest = SigV4.hexadecimal(hash.finalize().prefix(6))
        // In the name itself: Podman 4 leaves the tag out.
        let name = "poiesis-helper-\(digest)"
        if try await image(name) != nil { return name }
        _ = try await call(
            "POST", "/images/create", query: [("fromSrc", "-"), ("repo", name), ("tag", "latest")],
            raw: try TarArchive.single(name: "poiesis-exec", mode: 0o755, program), timeout: .seconds(120))
        return name
    }

    // MARK: Containers

    private struct Create: Encodable {
        struct Mount: Encodable {
            var type = "bind"
            var source: String
            var target: String
            var readOnly: Bool
        }
        struct LogConfig: Encodable {
            var type = "json-file"
            var config = ["max-size": "10m"]
        }
        struct HostConfig: Encodable {
            var mounts: [Mount]
            var memory: Int64?
            var memorySwap: Int64?
            var nanoCpus: Int64?
            var logConfig = Create.LogConfig()
        }
        var image: String
        var entrypoint: [String]
        var cmd: [String] = []
        /// The shim's, which hands it on: the image's own may be one that it cannot catch.
        var stopSignal = "SIGTERM"
        var labels: [String: String]
        var user: String?
        var hostConfig: HostConfig
    }

    package func create(_ spec: ContainerSpec) async throws(EngineError) {
        let host = Create.HostConfig(
            mounts: spec.mounts.map { .init(source: $0.source, target: $0.target, readOnly: $0.isReadOnly) },
            memory: spec.memoryLimit, memorySwap: spec.memoryLimit,
            nanoCpus: spec.cpuLimit.map { Int64(min($0, 1 << 20)) * 1_000_000_000 })
        let body = Create(
            image: spec.image, entrypoint: spec.entrypoint, labels: spec.labels, user: spec.user, hostConfig: host)
        do throws(EngineError) {
            _ = try await call("POST", "/containers/create", query: [("name", spec.name)], body: body, accepted: [409])
        } catch {
            // Podman says 500 for a name that is taken.
            guard case .refused = error, try await state(spec.name) != nil else { throw error }
        }
    }

    package func start(_ name: String) async throws(EngineError) {
        _ = try await call("POST", "/containers/\(name)/start", accepted: [304])
    }
}

/// A tar archive of one file; POSIX.1-1988 ustar.
enum TarArchive {
    static func single(name: String, mode: Int, _ file: LocalFile) throws(EngineError) -> HTTPRequest.Body {
        let size: Int64
        do throws(FileError) { size = try file.size() } catch { throw .refused("\(error)") }
        let header = header(name: name, mode: mode, size: size)
        // The file is filled up to whole blocks, and two empty blocks end the archive.
        let length = 512 + (size + 511) / 512 * 512 + 1024
        return .stream(length: length) { count, offset in
            if offset < 512 { return Array(header[Int(offset)...].prefix(count)) }
            let left = 512 + size - offset
            if left > 0 { return try file.read(Int(min(Int64(count), left)), at: offset - 512) }
            return [UInt8](repeating: 0, count: Int(min(Int64(count), length - offset)))
        }
    }

    private static func header(name: String, mode: Int, size: Int64) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int64, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        put(name, at: 0)
        put(octal(Int64(mode), 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(size, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        let sum = header.reduce(0) { $0 + Int64($1) }
        put(octal(sum, 6), at: 148)
        header[154] = 0
        return header
    }
}
