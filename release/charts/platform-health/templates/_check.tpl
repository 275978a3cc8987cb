{{- /* One check as a Job. Takes the root, the hook, its name and the pages that it asks for. */ -}}
{{- define "platform-health.check" -}}
{{- $image := .root.Values.global.images.busybox -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    app.kubernetes.io/name: platform-health
    app.kubernetes.io/part-of: acp
  annotations:
    helm.sh/hook: {{ .hook }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 1
  activeDeadlineSeconds: 300
  template:
    metadata:
      labels:
        app.kubernetes.io/name: platform-health
        app.kubernetes.io/part-of: acp
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 2
      {{- with .root.Values.global.registry.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      tolerations:
        - key: node-role.kubernetes.io/control-plane
          effect: NoSchedule
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: check
          image: "{{ .root.Values.global.registry.address }}/{{ $image.repository }}@{{ $image.digest }}"
          imagePullPolicy: IfNotPresent
          args:
            - sh
            - -c
            - |
              address() {
                nslookup -type=a "$1" | awk '/^Name:/ { named = 1 } named && /^Address: / { print $2; exit }'
              }
              check() {
                left={{ .root.Values.attempts }}
                until "$@"; do
                  left=$((left - 1))
                  [ "$left" -gt 0 ] || { echo "failed: $*"; exit 1; }
                  sleep 2
                done
                echo "passed: $*"
              }
              name() { [ -n "$(address "$1")" ]; }
              page() {
                printf 'GET /index.html HTTP/1.0\r\n\r\n' \
                  | nc -w 5 "$(address "${1%:*}")" "${1#*:}" 2>/dev/null | grep -q ' 200 OK'
              }
              for name in {{ join " " .root.Values.names }}; do check name "$name"; done
              for page in {{ join " " .pages }}; do check page "$page"; done
          resources:
            requests:
              cpu: 10m
              memory: 16Mi
            limits:
              memory: 32Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
{{- end }}
