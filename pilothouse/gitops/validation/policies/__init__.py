"""Own rules of a repository: ValidatingAdmissionPolicies in its folder of policies.

They say the same as the API server with the same policies installed would, before any cluster is
asked: `loading` reads the folder, `expressions` compiles as it does, `matching` finds the objects,
`defaults` fills in what the API server fills in first, `evaluation` words the answers alike.
"""
