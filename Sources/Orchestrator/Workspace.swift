package import LocalSystem
package import TaskCore

/// An attempt's private disk: container path P lives at `fs` + P.
extension Folder {
    /// Makes the folders that the mount plan mounts.
    package func makeMountPoints(_ plan: MountPlan) throws(FileError) {
        for mount in plan.mounts where !mount.isFile { try makeFolders(mount.path, mode: 0o777) }
        for directory in plan.carryDirectories { try makeFolders(directory, mode: 0o777) }
    }

    /// A directory or file that no longer is what the plan made of it; nil where all are.
    ///
    /// Executors may write to what holds the sources of later mounts: a link in such a place would lead the engine, which follows
    /// it, anywhere on this machine.
    package func replacedMount(_ plan: MountPlan) throws(FileError) -> String? {
        let wanted =
            plan.mounts.map { ($0.path, $0.isFile ? FileKind.regular : .directory) }
            + plan.carryDirectories.map { ($0, .directory) }
        for (path, kind) in wanted {
            do throws(FileError) {
                if try self.kind(path) != kind { return path }
            } catch {
                guard error.isUnusable else { throw error }
                return path
            }
        }
        return nil
    }
}
