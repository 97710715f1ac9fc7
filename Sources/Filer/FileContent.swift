import Crypto
import HTTPClient
import LocalSystem

extension LocalFile {
    /// Bytes that are read at once.
    private static let piece: Int64 = 1 << 20

    /// SHA-256 in hexadecimal of `length` bytes from an offset, or of what there is of them.
    func checksum(from start: Int64 = 0, length: Int64) async throws(FileError) -> String {
        try await onDisk { isCancelled throws(FileError) in
            var hash = SHA256()
            var done: Int64 = 0
            while done < length {
                if isCancelled() { throw FileError("read", self.path, code: FileError.cancelled) }
                let bytes = try self.read(Int(min(Self.piece, length - done)), at: start + done)
                if bytes.isEmpty { break }
                hash.update(data: bytes)
                done += Int64(bytes.count)
            }
            return SigV4.hexadecimal(hash.finalize())
        }
    }

    /// Writes all of this file's bytes into another, which is empty.
    func copy(to target: LocalFile) async throws(FileError) {
        try await onDisk { isCancelled throws(FileError) in
            var offset: Int64 = 0
            while true {
                if isCancelled() { throw FileError("copy", self.path, code: FileError.cancelled) }
                let bytes = try self.read(Int(Self.piece), at: offset)
                if bytes.isEmpty { return }
                try target.write(bytes, at: offset)
                offset += Int64(bytes.count)
            }
        }
    }
}
