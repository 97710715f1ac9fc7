import CLinux
import Glibc

extension Folder {
    /// Removes a file, a link or a whole folder; nothing there is no error.
    ///
    /// Whatever a hostile program left goes: names that are no UTF-8, folders that nobody may read, and trees deeper than any path
    /// or table of descriptors is long.
    ///
    /// - Parameter isCancelled: asked now and then; what is left then is an error, `ECANCELED`.
    package func remove(
        _ relative: String, isCancelled: () -> Bool = { false }
    ) throws(FileError) {
        let folder: Folder
        let name: String
        do throws(FileError) { (folder, name) = try parent(relative) } catch {
            if error.isMissing { return }
            throw error
        }
        let shown = path + "/" + relative
        let raw = Array(name.utf8CString)
        if try Self.removeEntry(folder.descriptor, raw, shown) { return }
        let top = try Self.openForRemoval(folder.descriptor, raw, shown)
        // Folders in folders are first moved up to the top: so no more than two are open, however deep the tree is.
        var refilled = 0
        while true {
            let names = try top.names()
            if names.isEmpty { break }
            for name in names {
                if isCancelled() { throw FileError("remove", shown, code: ECANCELED) }
                if try Self.removeEntry(top.descriptor, name, shown) { continue }
                let inner = try Self.openForRemoval(top.descriptor, name, shown)
                for name in try inner.names() {
                    if isCancelled() { throw FileError("remove", shown, code: ECANCELED) }
                    if try Self.removeEntry(inner.descriptor, name, shown) { continue }
                    try Self.moveUp(inner.descriptor, name, top.descriptor, shown)
                }
                if try Self.removeEntry(top.descriptor, name, shown) { continue }
                // Somebody still writes there.
                refilled += 1
                if refilled > 1000 { throw FileError("remove", shown, code: ENOTEMPTY) }
            }
        }
        guard unlinkat(folder.descriptor, raw, AT_REMOVEDIR) == 0 || errno == ENOENT else {
            throw FileError("remove", shown)
        }
    }

    /// Removes anything but a folder that holds something; false there.
    private static func removeEntry(_ folder: Int32, _ name: [CChar], _ shown: String) throws(FileError) -> Bool {
        if unlinkat(folder, name, 0) == 0 || errno == ENOENT { return true }
        guard errno == EISDIR || errno == EPERM else { throw FileError("remove", shown) }
        if unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return true }
        guard errno == ENOTEMPTY || errno == EEXIST else { throw FileError("remove", shown) }
        return false
    }

    /// A folder to empty: made readable first, which only its owner can do.
    private static func openForRemoval(_ folder: Int32, _ name: [CChar], _ shown: String) throws(FileError) -> LocalFile
    {
        let place = openat(folder, name, Int32(POIESIS_O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else { throw FileError("remove", shown) }
        defer { close(place) }
        chmod("/proc/self/fd/\(place)", 0o700)
        let opened = openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard opened >= 0 else { throw FileError("remove", shown) }
        return LocalFile(descriptor: opened, path: shown)
    }

    private static func moveUp(_ folder: Int32, _ name: [CChar], _ top: Int32, _ shown: String) throws(FileError) {
        // A folder takes another parent only where it may be written to.
        let place = openat(folder, name, Int32(POIESIS_O_PATH) | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else { throw FileError("remove", shown) }
        chmod("/proc/self/fd/\(place)", 0o700)
        close(place)
        let free = ".poiesis-removed-" + String(UInt64.random(in: 0 ... .max), radix: 16)
        guard renameat(folder, name, top, free) == 0 else { throw FileError("remove", shown) }
    }
}

extension LocalFile {
    /// The names in an open folder, as the disk has them: any bytes but `/` and NUL, which ends each.
    func names() throws(FileError) -> [[CChar]] {
        let copy = openat(descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw FileError("list", path) }
        guard let stream = fdopendir(copy) else {
            let error = FileError("list", path)
            close(copy)
            throw error
        }
        defer { closedir(stream) }
        var names: [[CChar]] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                if errno != 0 { throw FileError("list", path) }
                return names
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                    Array(UnsafeBufferPointer(start: name, count: strlen(name) + 1))
                }
            }
            if name == [46, 0] || name == [46, 46, 0] { continue }
            names.append(name)
        }
    }
}

/// A raw name for messages and for those names that are text.
func shownName(_ name: [CChar]) -> String {
    String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
