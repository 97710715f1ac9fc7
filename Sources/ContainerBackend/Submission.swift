import Crypto
import Foundation
import HTTPClient
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
        guard let program = FileManager.default.contents(atPath: shim) else {
            throw .refused("there is no shim at \(shim)")
        }
        let digest = SHA256.hash(data: program).prefix(6).map {
            String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
        }.joined()
        // In the name itself: Podman 4 leaves the tag out.
        let name = "poiesis-helper-\(digest)"
        if try await image(name) != nil { return name }
        let archive = TarArchive.single(name: "poiesis-exec", mode: 0o755, content: Array(program))
        _ = try await call(
            "POST", "/images/create", query: [("fromSrc", "-"), ("repo", name), ("tag", "latest")],
            raw: .bytes(archive), timeout: .seconds(120))
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
    static func single(name: String, mode: Int, content: [UInt8]) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ text: String, at offset: Int) {
            for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: Int, _ width: Int) -> String {
            let digits = String(value, radix: 8)
            return String(repeating: "0", count: width - digits.count) + digits
        }
        put(name, at: 0)
        put(octal(mode, 7), at: 100)
        put(octal(0, 7), at: 108)
        put(octal(0, 7), at: 116)
        put(octal(content.count, 11), at: 124)
        put(octal(0, 11), at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar", at: 257)
        put("00", at: 263)
        let sum = header.reduce(0) { $0 + Int($1) }
        put(octal(sum, 6), at: 148)
        header[154] = 0
        let padding = [UInt8](repeating: 0, count: (512 - content.count % 512) % 512 + 1024)
        return header + content + padding
    }
}
