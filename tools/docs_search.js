// The search of the documentation, from a disk too: there a page may start no worker and fetch
// nothing, but it may load scripts. In the place of the theme's search/main.js.

(function () {
  "use strict";
  var index = null, pages = {}, waiting = null;

  function load(name, then) {
    var script = document.createElement("script");
    script.src = base_url.replace(/\/?$/, "/") + "search/" + name;
    script.onload = then;
    document.head.appendChild(script);
  }

  // With the first question: nobody else waits for it.
  function prepare(then) {
    if (index) { then(); return; }
    var first = waiting === null;
    waiting = then;
    if (!first) return;
    load("lunr.js", function () {
      load("search_index.js", function () {
        index = lunr(function () {
          this.ref("location");
          this.field("title", { boost: 10 });
          this.field("text");
          window.openamsDocs.forEach(function (page) {
            pages[page.location] = page;
            this.add(page);
          }, this);
        });
        waiting();
      });
    });
  }

  function find(words) {
    return index.query(function (query) {
      lunr.tokenizer(words).forEach(function (token) {
        var word = token.toString();
        query.term(word, { boost: 10, usePipeline: true });
        query.term(word, { wildcard: lunr.Query.wildcard.TRAILING, usePipeline: false });
      });
    }).slice(0, 30).map(function (hit) { return pages[hit.ref]; });
  }

  function show(found, words) {
    var place = document.getElementById("mkdocs-search-results");
    place.replaceChildren();
    if (!found.length && words) place.append("Nothing was found.");
    found.forEach(function (page) {
      var article = document.createElement("article");
      var head = document.createElement("h3");
      var link = document.createElement("a");
      link.href = base_url.replace(/\/?$/, "/") + page.location;
      link.textContent = page.title;
      head.append(link);
      var text = document.createElement("p");
      text.textContent = page.text.slice(0, 200);
      article.append(head, text);
      place.append(article);
    });
  }

  function ask() {
    var words = document.getElementById("mkdocs-search-query").value.trim();
    if (words.length < 2) { show([], ""); return; }
    prepare(function () {
      // What has been typed by now.
      words = document.getElementById("mkdocs-search-query").value.trim();
      show(words.length < 2 ? [] : find(words), words);
    });
  }

  document.addEventListener("DOMContentLoaded", function () {
    var input = document.getElementById("mkdocs-search-query");
    if (input) input.addEventListener("input", ask);
  });
})();
