package import KubernetesAPI
package import Logging
package import TaskCore

/// Deletes the Jobs of cancelled tasks at once. What it misses the controller does.
package struct JobCancellation: Sendable {
    private let client: KubernetesClient
    private let store: any SubmissionStore
    private let logger: Logger

    /// - Parameter client: needs the right to delete Jobs in its namespace, and no other.
    package init(client: KubernetesClient, store: any SubmissionStore, logger: Logger) {
        self.client = client
        self.store = store
        self.logger = logger
    }

    /// Deletes the Jobs of a task; its programs get SIGTERM, and later SIGKILL.
    package func cancel(_ id: TaskID) async {
        do {
            for submission in try await store.openSubmissions(of: [id]) {
                do throws(KubernetesError) {
                    _ = try await client.delete(Job.self, submission.key.objectName, propagation: .background)
                } catch {
                    // Not made yet, or gone.
                    guard error.reason == .notFound else { throw error }
                }
            }
        } catch {
            logger.warning(
                "the Job of a cancelled task could not be deleted; the controller will",
                metadata: ["task": "\(id)", "reason": "\(error)"])
        }
    }
}
