package import KubernetesAPI

extension KubernetesError {
    /// Whether it is this object that the cluster has just refused to make. All else concerns every object of its kind and passes: a
    /// quota, a right that the operator has not given yet, a namespace that is going, a server that fails.
    ///
    /// Webhooks choose the code with which they deny, mostly 400 or 403.
    /// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
    package var refusesObject: Bool {
        guard let refusal else { return false }
        switch refusal.code {
        case 400, 413, 422: return true
        case 403:
            let text = refusal.message
            let passes = [
                "cannot create resource", "cannot set blockOwnerDeletion", "exceeded quota", "unknown for quota",
                "because it is being terminated",
            ]
            let denies = ["is forbidden: ", "denied the request", "denied request"]
            return denies.contains { text.contains($0) } && !passes.contains { text.contains($0) }
        default: return false
        }
    }

    /// Whether the refusal of one object may be lifted: 403 is a policy's, which may change, or say no for now; the other codes say that
    /// the object is wrong.
    package var refusalMayPass: Bool { refusesObject && refusal?.code == 403 }
}
