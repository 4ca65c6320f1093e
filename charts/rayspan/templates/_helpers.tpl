{{- define "rayspan.fullname" -}}
{{- if contains "rayspan" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-rayspan" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "rayspan.selector" -}}
app.kubernetes.io/name: rayspan
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "rayspan.labels" -}}
{{ include "rayspan.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Labels and annotations of an object: (list $ labels-of-its-own annotations-of-its-own), the last two optional.
Nobody's labels replace the chart's, by which pods are selected. */ -}}
{{- define "rayspan.marks" -}}
{{- $ := index . 0 }}
{{- $labels := dict }}{{ $annotations := dict }}
{{- if gt (len .) 1 }}{{ $labels = index . 1 }}{{ end }}
{{- if gt (len .) 2 }}{{ $annotations = index . 2 }}{{ end -}}
labels:
  {{- merge (include "rayspan.labels" $ | fromYaml) $labels $.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (deepCopy $annotations) $.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "rayspan.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "rayspan.fullname" .) }}{{ else }}{{ required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "rayspan.keySecretName" -}}
{{ .Values.masterKey.existingSecret | default (printf "%s-master-key" (include "rayspan.fullname" .)) }}
{{- end }}

{{- define "rayspan.image" -}}
{{- if .Values.image.digest }}{{ .Values.image.repository }}@{{ .Values.image.digest }}{{ else }}{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "rayspan.servingImage" -}}
{{ .Values.servingImage | default (printf "ghcr.io/rayspan/serving:%s" .Chart.AppVersion) }}
{{- end }}

{{- /* Not empty where a Lease is taken: of several operators one works. */ -}}
{{- define "rayspan.elects" -}}
{{- if or .Values.leaderElection (gt (int .Values.replicas) 1) }}true{{ end }}
{{- end }}

{{- /* The operator's own pods, as a peer in a NetworkPolicy. */ -}}
{{- define "rayspan.peer" -}}
namespaceSelector:
  matchLabels: {kubernetes.io/metadata.name: {{ .Release.Namespace }}}
podSelector:
  matchLabels: {{- include "rayspan.selector" . | nindent 4 }}
{{- end }}
