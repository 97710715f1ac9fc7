import Glibc
import TaskCore

/// Copies the task's files in the image's own folders out to the workspace after an executor, and back before the next.
struct Carrier {
    private static let workspace = "/.poiesis/carry"
    /// No image's files lie there.
    private static let skipped: Set = ["/proc", "/sys", "/dev", "/.poiesis"]
    /// The user reads no more.
    private static let maximumWarnings = 20

    let plan: ExecutorPlan
    private(set) var warnings: [String] = []
    private(set) var failure: String?

    init(plan: ExecutorPlan) { self.plan = plan }

    /// What earlier executors wrote appears where they wrote it.
    mutating func bringBack() {
        transfer(from: Self.workspace, to: "") { carrier, message in
            if carrier.warnings.count < Self.maximumWarnings { carrier.warnings.append(message) }
        }
    }

    /// What this executor wrote is kept.
    mutating func carryOut() {
        transfer(from: "", to: Self.workspace) { carrier, message in carrier.failure = carrier.failure ?? message }
    }

    private mutating func transfer(from: String, to: String, refused: (inout Carrier, String) -> Void) {
        for item in plan.carried {
            for path in paths(item, below: from) {
                let source = from + path
                let target = to + path
                if !copyTree(source, target) {
                    let reason = String(cString: strerror(errno))
                    refused(
                        &self, "\(path) could not be copied \(to.isEmpty ? "into" : "out of") the container: \(reason)")
                }
            }
        }
    }

    /// The carried paths that exist: one, or all that match a pattern.
    private func paths(_ item: MountPlan.Carried, below root: String) -> [String] {
        guard item.isPattern else {
            guard let path = ContainerPath.normalized(item.path), fileStatus(root + path) != nil else { return [] }
            return [path]
        }
        let pattern = PathPattern(item.path)
        // A directory that matches is copied whole.
        let depth = pattern.maximumDepth
        var found: [String] = []
        let start = root + (pattern.fixedPrefix == "/" ? "" : pattern.fixedPrefix)
        walk(start.isEmpty ? "/" : start) { path, _ in
            guard let inside = ContainerPath.below(root.isEmpty ? "/" : root, path), !Self.skipped.contains(inside)
            else { return false }
            if pattern.matches(inside) { found.append(inside) }
            return depth.map { ContainerPath.segments(inside).count < $0 } ?? true
        }
        return found
    }

    private func copyTree(_ source: String, _ target: String) -> Bool {
        guard let status = fileStatus(source) else { return true }
        switch status.st_mode & S_IFMT {
        case S_IFDIR:
            guard makeFolders(target) else { return false }
            return entries(source).allSatisfy { copyTree(source + "/" + $0, target + "/" + $0) }
        case S_IFREG: return copyFile(source, status, target)
        case S_IFLNK: return copyLink(source, target)
        default: return true
        }
    }

    private func copyLink(_ source: String, _ target: String) -> Bool {
        var buffer = [CChar](repeating: 0, count: 4097)
        guard readlink(source, &buffer, 4096) > 0, makeFolders(ContainerPath.parent(target)) else { return false }
        unlink(target)
        return symlink(buffer, target) == 0
    }

    /// A new file in the old one's place: who holds the old one open, or links to it, keeps it. Where the folder may not be
    /// written to, or the engine has mounted the file, its content is replaced.
    private func replace(_ target: String, _ mode: mode_t) -> Int32 {
        let flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
        if unlink(target) == 0 || errno == ENOENT { return open(target, flags | O_CREAT | O_EXCL, mode) }
        return open(target, flags | O_TRUNC)
    }

    /// Mode and mtime are kept, so that an unchanged file is known the next time and left alone.
    private func copyFile(_ source: String, _ status: stat, _ target: String) -> Bool {
        if let old = fileStatus(target), old.st_mode & S_IFMT == S_IFREG, old.st_size == status.st_size,
            old.st_mtim.tv_sec == status.st_mtim.tv_sec, old.st_mtim.tv_nsec == status.st_mtim.tv_nsec
        {
            return true
        }
        guard makeFolders(ContainerPath.parent(target)) else { return false }
        let input = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard input >= 0 else { return false }
        defer { close(input) }
        let output = replace(target, status.st_mode & 0o7777)
        guard output >= 0 else { return false }
        defer { close(output) }
        var buffer = [UInt8](repeating: 0, count: 1 << 17)
        while true {
            let count = read(input, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { return false }
            if count == 0 { break }
            guard writeAll(output, Array(buffer[..<count])) else { return false }
        }
        fchmod(output, status.st_mode & 0o7777)
        var times = [status.st_atim, status.st_mtim]
        futimens(output, &times)
        return true
    }
}
