/// Who asks. Until identities come, every request is ``everyone``.
package struct Principal: Hashable, Sendable {
    /// The owner that rows carry.
    package var owner: String

    package init(owner: String) { self.owner = owner }

    /// The principal `public`.
    package static let everyone = Principal(owner: "public")
}
