{{- /* The page. What a user wrote is text in it, never markup. */ -}}
{{- define "pages.index" -}}
{{- $dark := eq .Values.theme "dark" -}}
<!doctype html>
<meta charset="utf-8">
<title>{{ .Values.title | html }}</title>
<body style="color: {{ ternary "#eee" "#222" $dark }}; background: {{ ternary "#222" "#fff" $dark }}">
<h1>{{ .Values.title | html }}</h1>
{{- with .Values.note }}
<p>{{ . | html }}</p>
{{- end }}
{{- if .Values.showDate }}
<p><script>document.write(new Date().toDateString())</script></p>
{{- end }}
{{ end -}}
