// A code that was read off paper stands behind the # of the address: it goes into the form, and nowhere by itself.
"use strict";

const field = document.getElementById("code");
if (field && location.hash.length > 1) {
  field.value = location.href;
  field.focus();
}
