{{- define "sidestep.name" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- end }}
{{- define "sidestep.webhook" -}}{{ include "sidestep.name" . }}-webhook{{- end }}
{{- define "sidestep.analyzer" -}}{{ include "sidestep.name" . }}-analyzer{{- end }}
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
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "sidestep.webhookSelector" -}}
app.kubernetes.io/name: sidestep
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: webhook
{{- end }}
