{{/* Name of the operator's objects. */}}
{{- define "callfleet.name" -}}
{{- printf "%s-operator" (trunc 54 .Release.Name | trimSuffix "-") -}}
{{- end -}}

{{/* Labels that exactly the operator's pod has. Engines and relays admit admin calls by the first. */}}
{{- define "callfleet.selector" -}}
app.kubernetes.io/name: callfleet-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "callfleet.labels" -}}
{{ include "callfleet.selector" . }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: callfleet
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Image of a part: (list $ "engine" .Values.engine.image). */}}
{{- define "callfleet.image" -}}
{{- $root := index . 0 -}}
{{- index . 2 | default (printf "ghcr.io/callfleet/callfleet-%s:%s" (index . 1) $root.Chart.AppVersion) -}}
{{- end -}}
