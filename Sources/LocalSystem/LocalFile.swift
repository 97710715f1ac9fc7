import Glibc

/// What a directory entry is.
package enum FileKind: Hashable, Sendable {
    case regular, directory, link, other
}

/// An open file; closed with its last reference. Reads and writes block.
package final class LocalFile: Sendable {
    let descriptor: Int32
    package let path: String

    init(descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    deinit { close(descriptor) }

    /// In bytes.
    package func size() throws(FileError) -> Int64 { Int64(try status().st_size) }

    package func kind() throws(FileError) -> FileKind { FileKind(mode: try status().st_mode) }

    private func status() throws(FileError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw FileError("examine", path) }
        return status
    }

    /// Opens a regular file by its path for reading; links are followed.
    package static func reading(_ path: String) throws(FileError) -> LocalFile {
        let resolved = try resolvedPath(path)
        let name = resolved.lastIndex(of: "/").map { resolved.index(after: $0) } ?? resolved.startIndex
        return try Folder(String(resolved[..<name])).openFile(String(resolved[name...]))
    }

    /// Reads the file from its beginning to its end in pieces of 256 KiB.
    package func forEachPiece(_ body: ([UInt8]) throws(FileError) -> Void) throws(FileError) {
        var offset: Int64 = 0
        while true {
            let piece = try read(1 << 18, at: offset)
            if piece.isEmpty { return }
            try body(piece)
            offset += Int64(piece.count)
        }
    }

    package func holdsTheSame(as other: LocalFile) throws(FileError) -> Bool {
        guard try size() == other.size() else { return false }
        var offset: Int64 = 0
        while true {
            let piece = try read(1 << 18, at: offset)
            guard try piece == other.read(1 << 18, at: offset) else { return false }
            if piece.isEmpty { return true }
            offset += Int64(piece.count)
        }
    }

    /// The next bytes, at most `count`; empty at the end.
    package func read(_ count: Int) throws(FileError) -> [UInt8] {
        try fill(count) { Glibc.read(descriptor, $0, count) }
    }

    /// Bytes from an offset, at most `count`; empty past the end.
    package func read(_ count: Int, at offset: Int64) throws(FileError) -> [UInt8] {
        try fill(count) { pread(descriptor, $0, count, off_t(offset)) }
    }

    private func fill(_ count: Int, _ body: (UnsafeMutableRawPointer?) -> Int) throws(FileError) -> [UInt8] {
        var got = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            repeat { got = body(UnsafeMutableRawPointer(buffer.baseAddress)) } while got < 0 && errno == EINTR
            initialized = max(0, got)
        }
        guard got >= 0 else { throw FileError("read", path) }
        return bytes
    }

    package func write(_ bytes: [UInt8]) throws(FileError) {
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            written += count
        }
    }

    package func write(_ bytes: [UInt8], at offset: Int64) throws(FileError) {
        var written = 0
        while written < bytes.count {
            let place = off_t(offset) + off_t(written)
            let count = bytes.withUnsafeBytes {
                pwrite(descriptor, $0.baseAddress?.advanced(by: written), $0.count - written, place)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw FileError("write", path)
            }
            written += count
        }
    }

    package func truncate(to size: Int64) throws(FileError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw FileError("cut", path) }
    }

    /// Until the disk has it.
    package func synchronize() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw FileError("synchronize", path) }
    }

    package func setMode(_ mode: UInt32) throws(FileError) {
        guard fchmod(descriptor, mode) == 0 else { throw FileError("change the mode of", path) }
    }

    /// Holds the file for this process alone; false where another process holds it.
    package func lock() -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }
}

extension FileKind {
    init(mode: mode_t) {
        switch mode & S_IFMT {
        case S_IFREG: self = .regular
        case S_IFDIR: self = .directory
        case S_IFLNK: self = .link
        default: self = .other
        }
    }
}
