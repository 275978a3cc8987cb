kubectl get cvsh -n cpaas-system
