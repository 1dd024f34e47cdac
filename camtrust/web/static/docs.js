// The API documentation, from our own files alone: no validator, no outside address.
window.addEventListener("load", () => {
  window.SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    validatorUrl: null,
    deepLinking: true,
    persistAuthorization: false,
    displayRequestDuration: true,
    docExpansion: "none",
    tagsSorter: "alpha",
  });
});
