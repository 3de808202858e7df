{{- define "sidestep.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}
{{- define "sidestep.webhook" -}}{{ include "sidestep.name" . }}-webhook{{- end }}
{{- define "sidestep.analyzer" -}}{{ include "sidestep.name" . }}-analyzer{{- end }}
{{- define "sidestep.webhookUser" -}}system:serviceaccount:{{ .Release.Namespace }}:{{ include "sidestep.webhook" . }}{{- end }}
{{- define "sidestep.analyzerUser" -}}system:serviceaccount:{{ .Release.Namespace }}:{{ include "sidestep.analyzer" . }}{{- end }}
{{/* CA and serving certificate. */}}
{{- define "sidestep.secret" -}}{{ include "sidestep.webhook" . }}-tls{{- end }}
{{/* The API server calls webhooks in the order of their configurations' names: other mutators come first. */}}
{{- define "sidestep.configuration" -}}zz-{{ include "sidestep.name" . }}.{{ .Release.Namespace }}{{- end }}
{{- define "sidestep.clusterName" -}}{{ include "sidestep.name" . }}-{{ .Release.Namespace }}{{- end }}
{{- define "sidestep.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}
{{- define "sidestep.labels" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- define "sidestep.webhookSelector" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end }}
{{- define "sidestep.watchmanSelector" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: watchman
{{- end }}
{{/* What the webhook hands on to each analyzer, as JSON; the policy on Jobs holds it to these very values. */}}
{{- define "sidestep.analyzerEnv" -}}
{{- dict
  "SIDESTEP_NAMESPACE" .Release.Namespace
  "NAMESPACES" (join "," .Values.namespaces)
  "PROMETHEUS_URL" .Values.prometheus.url
  "PROPAGATION_DELAY" .Values.istio.propagationDelay
  "ALLOWED_HOOK_HOSTS" (join "," .Values.hooks.allowedHosts)
  "LOG_LEVEL" .Values.logLevel
  "LOG_FORMAT" .Values.logFormat
| toJson }}
{{- end }}
{{/* As JSON whose quantities are strings, also where the values are numbers. */}}
{{- define "sidestep.analyzerResources" -}}
{{- $all := dict }}
{{- range $kind, $amounts := .Values.analyzer.resources }}
{{- $texts := dict }}
{{- range $name, $amount := $amounts }}{{- $_ := set $texts $name (toString $amount) }}{{- end }}
{{- $_ := set $all $kind $texts }}
{{- end }}
{{- toJson $all }}
{{- end }}
{{/* Namespaces whose Deployments may be opted in. */}}
{{- define "sidestep.namespaceSelector" -}}
matchExpressions:
  - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system, {{ .Release.Namespace }}]}
{{- with .Values.namespaces }}
  - {key: kubernetes.io/metadata.name, operator: In, values: {{ toJson . }}}
{{- end }}
{{- end }}
{{/* Puts a policy of ours in force. Takes the context and the policy's name. */}}
{{- define "sidestep.binding" }}
{{- $name := index . 1 }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels: {{- include "sidestep.labels" (index . 0) | nindent 4 }}
spec:
  policyName: {{ $name }}
  validationActions: [Deny]
{{- end }}
{{/* Rules for an account with their binding: in a namespace, or in all where that is empty. Takes ctx, namespace, name, account, rules, and annotations of both. */}}
{{- define "sidestep.role" }}
{{- $kind := ternary "Role" "ClusterRole" (ne .namespace "") }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "sidestep.labels" .ctx | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
rules: {{- .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  name: {{ .name }}
  {{- with .namespace }}
  namespace: {{ . }}
  {{- end }}
  labels: {{- include "sidestep.labels" .ctx | nindent 4 }}
  {{- with .annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ $kind }}, name: {{ .name }}}
subjects: [{kind: ServiceAccount, name: {{ .account }}, namespace: {{ .ctx.Release.Namespace }}}]
{{- end }}
