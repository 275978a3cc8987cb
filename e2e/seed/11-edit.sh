kubectl edit cvsh global -n cpaas-system
