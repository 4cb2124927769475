"""Fields of Argo's API that make no difference on one machine, and those that the local engine lacks.

A field in neither table nor in the models of `manifest.py` is unknown, and refused like an unsupported one.
"""

from __future__ import annotations

HARMLESS_WORKFLOW = frozenset(
    "serviceAccountName automountServiceAccountToken executor artifactRepositoryRef nodeSelector "
    "affinity tolerations imagePullSecrets dnsPolicy dnsConfig ttlStrategy podGC priority "
    "schedulerName podPriorityClassName securityContext podDisruptionBudget metrics volumeClaimGC "
    "podMetadata archiveLogs workflowMetadata artifactGC".split()
)
HARMLESS_TEMPLATE = frozenset(
    "nodeSelector affinity metadata tolerations schedulerName priorityClassName serviceAccountName "
    "automountServiceAccountToken executor securityContext metrics annotations archiveLocation".split()
)
HARMLESS_CONTAINER = frozenset(
    "name imagePullPolicy resources securityContext terminationMessagePath terminationMessagePolicy tty".split()
)
HARMLESS_RETRY = frozenset(["affinity"])

UNSUPPORTED_WORKFLOW = frozenset(
    "volumeClaimTemplates hostNetwork hostAliases podSpecPatch shutdown hooks retryStrategy suspend".split()
)
UNSUPPORTED_TEMPLATE = frozenset(
    "containerSet resource data http plugin daemon initContainers sidecars hostAliases podSpecPatch memoize".split()
)
UNSUPPORTED_STEP = frozenset("inline onExit hooks".split())
UNSUPPORTED_CONTAINER = frozenset(
    "ports livenessProbe readinessProbe startupProbe lifecycle volumeDevices stdin stdinOnce resizePolicy "
    "restartPolicy restartPolicyRules".split()
)
UNSUPPORTED_VALUE_FROM = frozenset("event jqFilter jsonPath supplied".split())
UNSUPPORTED_ARTIFACTS = frozenset(["artifacts"])
UNSUPPORTED_SYNCHRONIZATION = frozenset("semaphore semaphores mutex".split())
UNSUPPORTED_VOLUME = frozenset(
    "configMap secret persistentVolumeClaim hostPath projected downwardAPI nfs csi ephemeral image".split()
)
