import CLinux
import Glibc

/// An open folder whose content may be hostile: every path is resolved by the kernel beneath it; openat2(2).
package final class Folder: Sendable {
    /// How symbolic links on the way are treated.
    package enum Links: Sendable {
        /// None is followed.
        case refused
        /// Followed as long as they stay inside; an absolute one counts from the folder, as in a container.
        case insideRoot
    }

    /// One entry of a listing.
    package struct Entry: Hashable, Sendable {
        package var name: String
        package var kind: FileKind
        /// In bytes; of regular files.
        package var size: Int64
        /// Whether ``name`` is the entry's own: a name that is no UTF-8 can be shown, but not be opened.
        package var isText = true
    }

    package let path: String
    let descriptor: Int32

    /// Opens a folder of the server's own.
    package convenience init(_ path: String) throws(FileError) {
        let descriptor = Glibc.open(path, Int32(POIESIS_O_PATH) | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw FileError("open the folder", path) }
        self.init(path: path, descriptor: descriptor)
    }

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Makes a folder of the server's own with all above it, and opens it.
    package static func make(_ path: String, mode: UInt32 = 0o700) throws(FileError) -> Folder {
        var current = path.hasPrefix("/") ? "" : "."
        for segment in pathSegments(path) {
            current += "/" + segment
            if mkdir(current, mode) == 0 {
                chmod(current, mode)
            } else if errno != EEXIST {
                throw FileError("make the folder", current)
            }
        }
        return try Folder(path)
    }

    // MARK: Opening

    func open(_ relative: String, flags: Int32, mode: UInt32, links: Links) throws(FileError) -> LocalFile {
        let name = Self.relative(relative)
        var resolve = UInt64(POIESIS_NO_MAGICLINKS)
        switch links {
        case .refused: resolve |= UInt64(POIESIS_NO_SYMLINKS | POIESIS_BENEATH)
        case .insideRoot: resolve |= UInt64(POIESIS_IN_ROOT)
        }
        // With O_PATH the kernel takes none of the flags that only opening for reading has.
        let extra = flags & Int32(POIESIS_O_PATH) == 0 ? O_CLOEXEC | O_NOCTTY : O_CLOEXEC
        var attempts = 0
        while true {
            let result = poiesis_openat2(
                descriptor, name, UInt64(UInt32(bitPattern: flags | extra)), UInt64(mode), resolve)
            if result >= 0 { return LocalFile(descriptor: result, path: path + "/" + relative) }
            // EAGAIN: a rename raced with the resolution.
            attempts += 1
            guard errno == EINTR || errno == EAGAIN, attempts < 100 else {
                throw FileError("open", path + "/" + relative)
            }
        }
    }

    private static func relative(_ path: String) -> String {
        let name = pathSegments(path).joined(separator: "/")
        return name.isEmpty ? "." : name
    }

    /// Opens a regular file for reading; anything else is refused, and opening never blocks.
    package func openFile(_ relative: String, links: Links = .refused) throws(FileError) -> LocalFile {
        let file = try open(relative, flags: O_RDONLY | O_NONBLOCK, mode: 0, links: links)
        guard try file.kind() == .regular else { throw FileError("read", file.path, code: notRegular) }
        return file
    }

    /// Makes or opens a file for writing.
    package func createFile(
        _ relative: String, mode: UInt32 = 0o600, exclusive: Bool = false, truncate: Bool = true
    ) throws(FileError) -> LocalFile {
        let flags = O_RDWR | O_CREAT | O_NONBLOCK | (exclusive ? O_EXCL : 0) | (truncate ? O_TRUNC : 0)
        let file = try open(relative, flags: flags, mode: mode & 0o777, links: .refused)
        guard try file.kind() == .regular else { throw FileError("write", file.path, code: notRegular) }
        try file.setMode(mode)
        return file
    }

    /// A folder inside this one.
    package func folder(_ relative: String, links: Links = .refused) throws(FileError) -> Folder {
        let file = try open(relative, flags: Int32(POIESIS_O_PATH) | O_DIRECTORY, mode: 0, links: links)
        let copy = fcntl(file.descriptor, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw FileError("open", file.path) }
        return Folder(path: path + "/" + Self.relative(relative), descriptor: copy)
    }

    /// What a path is; nil where there is nothing. The last segment's link is followed with `.insideRoot` only.
    package func kind(_ relative: String, links: Links = .refused) throws(FileError) -> FileKind? {
        do throws(FileError) {
            let flags = Int32(POIESIS_O_PATH) | (links == .refused ? O_NOFOLLOW : 0)
            return try open(relative, flags: flags, mode: 0, links: links).kind()
        } catch {
            if error.isMissing { return nil }
            throw error
        }
    }

    // MARK: Whole files

    /// A regular file's bytes, at most `limit`; nil where there is none.
    package func read(_ relative: String, limit: Int) throws(FileError) -> [UInt8]? {
        let file: LocalFile
        do throws(FileError) { file = try openFile(relative) } catch {
            if error.isMissing { return nil }
            throw error
        }
        var bytes: [UInt8] = []
        while bytes.count < limit {
            let more = try file.read(min(65536, limit - bytes.count))
            if more.isEmpty { break }
            bytes += more
        }
        return bytes
    }

    /// Writes a file so that others see the old one or the whole new one, also after a power cut.
    package func write(_ relative: String, _ bytes: [UInt8], mode: UInt32 = 0o600) throws(FileError) {
        try replace(relative, mode) { (file: LocalFile) throws(FileError) in try file.write(bytes) }
    }

    /// Copies a file from its beginning; others see the old one or the whole new one, also after a power cut.
    package func copy(_ source: LocalFile, to relative: String, mode: UInt32) throws(FileError) {
        try replace(relative, mode) { (file: LocalFile) throws(FileError) in
            try source.forEachPiece { (piece: [UInt8]) throws(FileError) in try file.write(piece) }
        }
    }

    private func replace(
        _ relative: String, _ mode: UInt32, _ fill: (LocalFile) throws(FileError) -> Void
    ) throws(FileError) {
        let temporary = relative + ".new"
        try? remove(temporary)
        let file = try createFile(temporary, mode: mode, exclusive: true)
        try fill(file)
        try file.synchronize()
        try rename(temporary, relative)
    }

    package func rename(_ old: String, _ new: String) throws(FileError) {
        let (oldFolder, oldName) = try parent(old)
        let (newFolder, newName) = try parent(new)
        guard renameat(oldFolder.descriptor, oldName, newFolder.descriptor, newName) == 0 else {
            throw FileError("rename", path + "/" + old)
        }
    }

    /// The folder that holds a path, resolved without links, and the path's last segment.
    func parent(_ relative: String) throws(FileError) -> (Folder, String) {
        let segments = pathSegments(relative)
        guard let name = segments.last, name != "..", name != "." else {
            throw FileError("use", relative, code: EINVAL)
        }
        return (try folder(segments.dropLast().joined(separator: "/")), name)
    }

    // MARK: Trees

    /// Sets the mode of a folder inside this one, whatever it is now; for its owner, and root.
    package func setMode(_ relative: String, _ mode: UInt32) throws(FileError) {
        let inner = try folder(relative)
        guard chmod("/proc/self/fd/\(inner.descriptor)", mode) == 0 else { throw FileError("open up", inner.path) }
    }

    /// Makes a folder inside this one with all above it; existing ones are left as they are.
    package func makeFolders(_ relative: String, mode: UInt32) throws(FileError) {
        var current = self
        var made = ""
        for segment in pathSegments(relative) {
            made += "/" + segment
            let isNew = mkdirat(current.descriptor, segment, mode) == 0
            guard isNew || errno == EEXIST else { throw FileError("make the folder", path + made) }
            let next = try current.folder(segment)
            // The umask does not count for what containers of any user must write to.
            if isNew { chmod("/proc/self/fd/\(next.descriptor)", mode) }
            current = next
        }
    }

    /// The entries of a folder inside this one, in order of name.
    package func list(_ relative: String = "", links: Links = .refused) throws(FileError) -> [Entry] {
        let file = try open(relative, flags: O_RDONLY | O_DIRECTORY, mode: 0, links: links)
        var entries: [Entry] = []
        for name in try file.names() {
            var status = stat()
            guard fstatat(file.descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                // Removed since its name was read.
                if errno == ENOENT { continue }
                throw FileError("examine", file.path + "/" + shownName(name))
            }
            entries.append(
                Entry(
                    name: shownName(name), kind: FileKind(mode: status.st_mode), size: Int64(status.st_size),
                    isText: String(validating: name.dropLast(), as: UTF8.self) != nil))
        }
        return entries.sorted { $0.name < $1.name }
    }

    /// Until the disk has the names in a folder inside this one.
    package func synchronize(_ relative: String) throws(FileError) {
        try open(relative, flags: O_RDONLY | O_DIRECTORY, mode: 0, links: .refused).synchronize()
    }

    /// A file in a folder inside this one that has no name yet: nothing is left of it until ``name(_:_:)`` gives it one.
    /// Nil where the file system has no such files; open(2), `O_TMPFILE`.
    package func createUnnamed(_ relative: String, mode: UInt32) throws(FileError) -> LocalFile? {
        do throws(FileError) {
            let flags = O_RDWR | O_DIRECTORY | Int32(POIESIS_TMPFILE)
            let file = try open(relative, flags: flags, mode: mode & 0o777, links: .refused)
            try file.setMode(mode)
            return file
        } catch {
            // EISDIR: a kernel or file system that takes it for a folder to write to.
            if error.code == EOPNOTSUPP || error.code == EISDIR || error.code == EINVAL { return nil }
            throw error
        }
    }

    /// Gives an unnamed file its name, which must be free; linkat(2).
    package func name(_ file: LocalFile, _ relative: String) throws(FileError) {
        let (folder, name) = try parent(relative)
        let source = "/proc/self/fd/\(file.descriptor)"
        guard linkat(AT_FDCWD, source, folder.descriptor, name, AT_SYMLINK_FOLLOW) == 0 else {
            throw FileError("make", path + "/" + relative)
        }
    }

    /// Bytes that are free for ordinary users on the folder's disk.
    package func freeSpace() -> Int64 {
        var status = statvfs()
        guard fstatvfs(descriptor, &status) == 0 else { return 0 }
        return Int64(status.f_bavail) * Int64(status.f_frsize)
    }

    /// Where the folder really is, whatever links led to it.
    package var realPath: String {
        var buffer = [CChar](repeating: 0, count: 4097)
        let count = readlink("/proc/self/fd/\(descriptor)", &buffer, 4096)
        return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A path with all its links resolved, and its segments `..`; realpath(3).
package func resolvedPath(_ path: String) throws(FileError) -> String {
    guard let resolved = realpath(path, nil) else { throw FileError("find", path) }
    defer { free(resolved) }
    return String(cString: resolved)
}

/// A path's segments as the kernel cuts it: at each byte `/`, also where Swift sees one character with what follows it.
func pathSegments(_ path: String) -> [String] {
    path.utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
}
